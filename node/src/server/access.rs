//! Who may call what, and how often: the one question that each call is put before it is read.
//!
//! A caller is nobody in particular, the holder of this run's cookie, or of a lasting token. `admin` always asks for one
//! of the two, but for a caller on the node's own machine on a development network; the operator says whether the other
//! scopes do. Calls are counted for each token, or for each address where there is none.
//!
//! - `visitor`: where a request comes from and what it shows; `who`: whose calls are counted together; `rate`: how often;
//!   `places`: how much at once

mod places;
mod rate;
mod visitor;
mod who;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use printsy_rpc::{ErrorData, RpcError, RpcReason, Scope};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(super) use places::{Place, Places};
pub(super) use visitor::{Credential, Proxies, Visitor};

use crate::tokens::{Secret, TokenHash, Tokens};
use rate::{Rates, TooMany};
use who::Who;

/// How often the file of tokens is looked at: a token that was removed is good for no longer than this.
const TOKENS_TIME: Duration = Duration::from_secs(1);

/// How many calls a second each address or token may make when nobody says: far more than a shop makes, and too few to
/// keep a node busy.
pub const DEFAULT_RATE: u32 = 1_000;

/// Who may call a server.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// The cookie of this run, good for everything.
    pub cookie: Option<Secret>,
    /// The datadir whose lasting tokens are good here.
    pub tokens_in: Option<PathBuf>,
    /// The scopes that ask for a token; `admin` does anyway, but on a development network on the node's own machine.
    pub require_token: BTreeSet<Scope>,
    /// Calls a second of one address or token; 0: any number.
    pub rate: u32,
    /// The same for callers on the node's own machine.
    pub local_rate: u32,
    /// Whether a proxy stands before the server: it names the caller's address in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// The addresses of proxies that are believed, besides this machine's own.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            cookie: None,
            tokens_in: None,
            require_token: BTreeSet::new(),
            rate: DEFAULT_RATE,
            local_rate: 0,
            behind_proxy: false,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Lets calls in, or not.
#[derive(Debug)]
pub(super) struct Access {
    cookie: Option<TokenHash>,
    tokens: watch::Sender<Arc<Tokens>>,
    tokens_in: Option<PathBuf>,
    require_token: BTreeSet<Scope>,
    is_development: bool,
    rates: Rates,
}

/// What a caller turned out to be.
enum Identity {
    Nobody,
    Cookie,
    Token { name: String, scopes: BTreeSet<Scope> },
    Unknown,
}

impl Access {
    pub(super) fn new(options: &AccessOptions, tokens: Tokens, is_development: bool) -> Self {
        Self {
            cookie: options.cookie.as_ref().map(Secret::hash),
            tokens: watch::Sender::new(Arc::new(tokens)),
            tokens_in: options.tokens_in.clone(),
            require_token: options.require_token.clone(),
            is_development,
            rates: Rates::new(options.rate, options.local_rate),
        }
    }

    /// Whether a visitor may make one call of this scope now.
    ///
    /// # Errors
    /// `rateLimited` or `unauthorized`.
    pub(super) fn admit(&self, visitor: &Visitor, scope: Scope) -> Result<(), RpcError> {
        let identity = self.identify(visitor.credential);
        self.count(visitor, &identity, 1)?;
        match identity {
            Identity::Cookie => Ok(()),
            Identity::Token { scopes, .. } if scopes.contains(&scope) => Ok(()),
            Identity::Token { .. } => Err(unauthorized(&format!("this token is not good for {scope}"))),
            Identity::Unknown => Err(unauthorized("this token is not known here")),
            Identity::Nobody if !self.asks_for_token(scope, visitor.is_local) => Ok(()),
            Identity::Nobody => Err(unauthorized(&format!(
                "{scope} asks for the node's cookie or a token: Authorization: Bearer TOKEN"
            ))),
        }
    }

    /// Counts further calls of a visitor: one call may do the work of many.
    ///
    /// # Errors
    /// `rateLimited`; none of them is counted then.
    pub(super) fn charge(&self, visitor: &Visitor, calls: u32) -> Result<(), RpcError> {
        self.count(visitor, &self.identify(visitor.credential), calls)
    }

    fn count(&self, visitor: &Visitor, identity: &Identity, calls: u32) -> Result<(), RpcError> {
        let who = match identity {
            Identity::Token { name, .. } => Who::Token(name.clone()),
            _ => Who::of_address(visitor.address),
        };
        self.rates.take(who, visitor.is_local, calls, Instant::now()).map_err(rate_limited)
    }

    fn asks_for_token(&self, scope: Scope, is_local: bool) -> bool {
        let is_free = scope != Scope::Admin || (self.is_development && is_local);
        !is_free || self.require_token.contains(&scope)
    }

    fn identify(&self, credential: Credential) -> Identity {
        let hash = match credential {
            Credential::None => return Identity::Nobody,
            Credential::Bad => return Identity::Unknown,
            Credential::Hash(hash) => hash,
        };
        if self.cookie.as_ref().is_some_and(|cookie| cookie.is(&hash)) {
            return Identity::Cookie;
        }
        match self.tokens.borrow().find(&hash) {
            Some(token) => Identity::Token { name: token.name.clone(), scopes: token.scopes.clone() },
            None => Identity::Unknown,
        }
    }

    /// Ends when the lasting token that a visitor shows is taken away; never where it shows none.
    pub(super) fn revoked(&self, credential: Credential) -> impl Future<Output = ()> + use<> {
        fn is_known(tokens: &Tokens, hash: &TokenHash) -> bool {
            tokens.find(hash).is_some()
        }
        // Looked at now, so that what is taken away before this is waited for is not missed.
        let mut tokens = self.tokens.subscribe();
        let was_known = matches!(credential, Credential::Hash(hash) if is_known(&tokens.borrow(), &hash));
        async move {
            let Credential::Hash(hash) = credential else { return std::future::pending().await };
            // Whoever asks keeps the sender, so both only ever wait. A token may be younger than the last look at its file.
            if !was_known {
                let _ = tokens.wait_for(|tokens| is_known(tokens, &hash)).await;
            }
            let _ = tokens.wait_for(|tokens| !is_known(tokens, &hash)).await;
        }
    }

    /// Reads the lasting tokens again, time and again.
    pub(super) async fn follow_tokens(&self) {
        let Some(folder) = self.tokens_in.clone() else { return std::future::pending().await };
        let mut ticks = interval(TOKENS_TIME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = String::new();
        loop {
            ticks.tick().await;
            let folder = folder.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || Tokens::load(&folder)).await else { continue };
            match read {
                Ok(tokens) => {
                    trouble.clear();
                    self.tokens.send_replace(Arc::new(tokens));
                }
                // A bad file lets in nobody new and shuts nobody out: it is told once.
                Err(failure) => {
                    let text = failure.to_string();
                    if trouble != text {
                        tracing::error!(error = %text, "the tokens stay what they were");
                        trouble = text;
                    }
                }
            }
        }
    }
}

fn unauthorized(sentence: &str) -> RpcError {
    RpcError::refused(sentence, ErrorData::new(RpcReason::Unauthorized))
}

fn rate_limited(too_many: TooMany) -> RpcError {
    let mut data = ErrorData::new(RpcReason::RateLimited);
    let wait = match too_many {
        TooMany::Now(wait) => wait,
        TooMany::Ever { most } => {
            data.retryable = false;
            let sentence =
                format!("this counts as more calls than one caller may make at once ({most}): send less");
            return RpcError::refused(sentence, data);
        }
    };
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    data.retry_after_ms = Some(ms);
    RpcError::refused(format!("too many calls; try again in {ms} ms"), data)
}
