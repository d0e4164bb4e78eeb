//! The body of a request, read whole: bounded in size, in time and, where it is large, together with all others.
//!
//! A body takes its place among the large ones as it comes, for what it holds and not for what it announces: an
//! idle upload costs others nothing. One that holds much must go on growing, or it is given up. So all bodies
//! together never take more memory than the places there are, and nobody keeps places without sending.

use std::net::IpAddr;

use axum::body::Body;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::large::{Crowded, Held, Large};
use super::limits::{BODY_GROWTH, BODY_GROWTH_TIME, BODY_TIME, SMALL_BODY_BYTES};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// It is larger than bodies may be.
    TooLarge,
    /// The connection broke, or what came is not HTTP.
    Broken,
    /// It took too long, or did not go on growing.
    Slow,
    /// There is no place for it among the large ones now.
    Crowded,
}

impl From<Crowded> for BadBody {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

/// A whole body, and its places if it is a large one, to be kept while the body is worked on.
pub(super) type Whole = (Vec<u8>, Held);

/// Reads a caller's body of at most `max` bytes, which announced this length if it did.
pub(super) async fn read(
    large: &Large,
    address: IpAddr,
    body: Body,
    length: Option<usize>,
    max: usize,
) -> Result<Whole, BadBody> {
    if length.is_some_and(|length| !large.has_room(length)) {
        // Told at once rather than half way; what it will find then is not promised by this.
        return Err(BadBody::Crowded);
    }
    let most = length.unwrap_or(max).min(max);
    let mut arriving = Arriving { held: large.begin(address), bytes: Vec::new(), most };
    let end = Instant::now() + BODY_TIME;
    let mut pace = Pace { until: end, enough: 0 };
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = timeout_at(pace.until, chunks.next()).await.map_err(|_| BadBody::Slow)? {
        arriving.take(&chunk.map_err(|_| BadBody::Broken)?)?;
        pace.follow(arriving.bytes.len(), Instant::now(), end);
    }
    Ok((arriving.bytes, arriving.held))
}

/// A body, as far as it came.
struct Arriving {
    held: Held,
    bytes: Vec<u8>,
    /// The most that it can become.
    most: usize,
}

impl Arriving {
    fn take(&mut self, chunk: &[u8]) -> Result<(), BadBody> {
        let len = self.bytes.len().saturating_add(chunk.len());
        if len > self.most {
            return Err(BadBody::TooLarge);
        }
        if len > self.bytes.capacity() {
            self.grow(len)?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Makes room for `len` bytes, and some in advance: doubling keeps copying in bounds.
    fn grow(&mut self, len: usize) -> Result<(), Crowded> {
        let room = self.bytes.capacity().saturating_mul(2).min(self.most).max(len);
        self.held.grow_to(room)?;
        self.bytes.reserve_exact(room - self.bytes.len());
        Ok(())
    }
}

/// Until when more has to have come.
struct Pace {
    until: Instant,
    /// The size at which it is given time anew.
    enough: usize,
}

impl Pace {
    fn follow(&mut self, len: usize, now: Instant, end: Instant) {
        if len > SMALL_BODY_BYTES && len >= self.enough {
            self.enough = len + len / BODY_GROWTH;
            self.until = end.min(now + BODY_GROWTH_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    const MAX: usize = 1 << 20;

    /// Comes in these chunks and then, if it never ends, not at all.
    fn body(chunks: &[usize], ends: bool) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|len| Ok::<_, Infallible>(vec![7; *len])).collect();
        let chunks = stream::iter(chunks);
        if ends { Body::from_stream(chunks) } else { Body::from_stream(chunks.chain(stream::pending())) }
    }

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn bodies(kib: usize) -> Large {
        Large::new(kib, SMALL_BODY_BYTES)
    }

    #[tokio::test]
    async fn a_body_takes_places_for_what_came_and_gives_them_back() {
        let bodies = bodies(1_024);
        let idle = (0..100).map(|_| read(&bodies, OWN, body(&[1_000], false), Some(MAX), MAX));
        let idle = futures::future::select_all(idle.map(Box::pin));
        let whole = async {
            let (small, held) = read(&bodies, OWN, body(&[65_536], true), None, MAX).await.unwrap();
            assert_eq!((small.len(), held.kib()), (65_536, 0));
            let (large, held) =
                read(&bodies, OWN, body(&[60_000; 10], true), Some(600_000), MAX).await.unwrap();
            assert_eq!(large, vec![7; 600_000]);
            assert_eq!(held.kib(), 586);
            assert!(bodies.has_room((1_024 - 586) << 10) && !bodies.has_room((1_024 - 585) << 10));
        };
        tokio::select! {
            biased;
            _ = idle => panic!("an idle upload ended"),
            () = whole => {}
        }
        assert!(bodies.has_room(MAX));
    }

    #[tokio::test]
    async fn all_that_came_together_stays_within_the_places() {
        let bodies = bodies(256);
        let announced = read(&bodies, OWN, body(&[60_000; 5], true), Some(300_000), MAX).await;
        assert_eq!(announced.unwrap_err(), BadBody::Crowded);
        let chunked = read(&bodies, OWN, body(&[60_000; 5], true), None, MAX).await;
        assert_eq!(chunked.unwrap_err(), BadBody::Crowded);
        assert!(bodies.has_room(256 << 10));
        let first = read(&bodies, OWN, body(&[60_000; 3], true), Some(180_000), MAX).await.unwrap();
        let second = read(&bodies, OWN, body(&[60_000; 2], true), None, MAX).await;
        assert_eq!(second.unwrap_err(), BadBody::Crowded);
        assert!(first.0.capacity() <= first.1.kib() << 10);
        let larger = read(&bodies, OWN, body(&[MAX, 1], true), None, MAX).await;
        assert_eq!(larger.unwrap_err(), BadBody::Crowded);
        drop(first);
        let longer = read(&bodies, OWN, body(&[6, 6], true), None, 10).await;
        assert_eq!(longer.unwrap_err(), BadBody::TooLarge);
        assert!(bodies.has_room(256 << 10));
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_others() {
        let bodies = bodies(8 * 128);
        let held = read(&bodies, OTHER, body(&[100_000], true), Some(100_000), MAX).await.unwrap();
        let second = read(&bodies, OTHER, body(&[100_000], true), Some(100_000), MAX).await;
        assert_eq!(second.unwrap_err(), BadBody::Crowded);
        assert!(read(&bodies, OWN, body(&[100_000], true), Some(100_000), MAX).await.is_ok());
        drop(held);
        assert!(read(&bodies, OTHER, body(&[100_000], true), Some(100_000), MAX).await.is_ok());
    }

    #[test]
    fn who_sends_steadily_is_never_too_slow_and_who_stops_is() {
        let begin = Instant::now();
        let end = begin + BODY_TIME;
        for size in [SMALL_BODY_BYTES + 1, 4 * SMALL_BODY_BYTES, 17 << 20] {
            let mut pace = Pace { until: end, enough: 0 };
            for part in 0..=1_000u32 {
                let now = begin + BODY_TIME * part / 1_000;
                assert!(now <= pace.until, "{size} bytes, after {part} of 1000 parts");
                pace.follow(size * usize::try_from(part).unwrap() / 1_000, now, end);
            }
        }
        let mut pace = Pace { until: end, enough: 0 };
        pace.follow(SMALL_BODY_BYTES, begin, end);
        assert_eq!(pace.until, end, "a small body has all of the time");
        pace.follow(1 << 20, begin, end);
        pace.follow((1 << 20) + 1, begin + BODY_GROWTH_TIME / 2, end);
        assert_eq!(pace.until, begin + BODY_GROWTH_TIME, "a trickle is no growth");
    }
}
