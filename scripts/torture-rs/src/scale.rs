//! `scale`: what a restart costs with a large state, and whether memory grows with sales.
//!
//! Three datadirs are filled through the ledger's own way (admitted, put into a template, sealed, connected): next to
//! nothing; as many images and accounts as asked for, each bought and buying once; a few images and accounts with as
//! many sales as asked for. The real daemon is then started on each: how long until it answers, and how much memory
//! it takes, as the system counts it.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{
    Action, Admission, Body, Catalogue, CheckedBlock, CheckedTransaction, Genesis, GenesisMiner, Header,
    Line, Params, SecretKey, SignedHeader, Target, block_bytes, block_message, check_transaction,
};
use printsy_ledger::store::{FileDisk, SledIndex};
use printsy_ledger::{Ledger, Origin};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::http;
use printsy_scenarios::network::free_ports;
use printsy_scenarios::process::Daemon;
use tokio::time::{Instant, sleep};

use crate::report::Report;

/// How many orders a block takes: within the mempool's bounds.
const ORDERS_A_BLOCK: u64 = 25_000;
/// For how many blocks an order of the filling may be confirmed: a node remembers the confirmed ones so long, and no
/// longer (S2), so that it must not be for all blocks of a datadir.
const ORDERS_LIVE: u64 = 12;
/// The longest that an order of this network may live, which is how many blocks a start reads for the confirmed ones.
const MAX_VALIDITY: u32 = 24;
/// How many images and accounts share the sales of the third datadir.
const FEW: u64 = 100;
/// What memory may differ by between two starts of one state: the index's cache, filled more or less.
const MAX_GROWN_KIB: u64 = 64 << 10;
/// How long a start may take.
const READY_TIME: Duration = Duration::from_secs(600);
/// The pause between two looks whether the daemon answers.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The miner of all blocks.
const MINER: &str = "miner-1";

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many images, and as many accounts, the large state has.
    pub entries: u64,
    /// How many sales the long history has.
    pub sales: u64,
    /// The daemon's program.
    pub printsyd: PathBuf,
}

/// One start of the daemon.
#[derive(Clone, Copy, Debug)]
struct Measured {
    ready: Duration,
    resident_kib: u64,
}

/// Fills, starts, measures.
///
/// # Errors
/// If a datadir cannot be filled, or the daemon does not answer.
pub async fn run(options: &Options) -> Result<Report> {
    let folder = Folder::temporary()?;
    let mut report = Report::new("scale");
    let base = filled(options, &folder, 1, FEW, FEW).await?;
    let large = filled(options, &folder, 2, options.entries, options.entries).await?;
    let fewer = filled(options, &folder, 3, FEW, (options.sales / 5).max(FEW)).await?;
    let sold = filled(options, &folder, 4, FEW, options.sales).await?;
    report.add("images and accounts, few", FEW);
    report.add("images and accounts, many", options.entries);
    report.add("sales of few images", options.sales);
    report.add("and a fifth of that", options.sales / 5);
    for (name, measured) in [("few", base), ("many", large), ("a fifth", fewer), ("sales", sold)] {
        report.add(&format!("{name}: ready after ms"), measured.ready.as_millis());
        report.add(&format!("{name}: resident KiB"), measured.resident_kib);
    }
    let entries = 2 * options.entries.saturating_sub(FEW).max(1);
    let grown = large.resident_kib.saturating_sub(base.resident_kib);
    report.add("bytes of memory an entry", grown * 1_024 / entries);
    let with_sales = sold.resident_kib.saturating_sub(fewer.resident_kib);
    report.add("memory grown with five times the sales, KiB", with_sales);
    ensure!(with_sales <= MAX_GROWN_KIB, "memory grows with sales:\n{report}");
    Ok(report)
}

/// Fills a datadir with `sales` sales over so many images and accounts, and starts the daemon on it.
async fn filled(
    options: &Options,
    folder: &Folder,
    number: usize,
    entries: u64,
    sales: u64,
) -> Result<Measured> {
    let genesis = Arc::new(genesis(sales.div_ceil(entries))?);
    let datadir = folder.datadir(number);
    std::fs::create_dir_all(&datadir)?;
    std::fs::write(datadir.join("genesis.json"), genesis.to_json())?;
    let begun = Instant::now();
    let (place, network) = (datadir.clone(), genesis.clone());
    tokio::task::spawn_blocking(move || fill(&network, &place, entries, sales)).await??;
    eprintln!("{entries} images and accounts, {sales} sales: filled in {} s", begun.elapsed().as_secs());
    // What was told of orders is bounded, and costs a start as many signatures: it is not what is measured here.
    std::fs::remove_file(datadir.join("mempool.dat"))?;
    let measured = start(&options.printsyd, folder, &datadir, number).await?;
    let (ready, kib) = (measured.ready.as_millis(), measured.resident_kib);
    eprintln!("  ready after {ready} ms, {kib} KiB resident");
    std::fs::remove_dir_all(&datadir)?;
    Ok(measured)
}

fn genesis(sales_an_image: u64) -> Result<Genesis> {
    let public = |name: &str| SecretKey::development(name).public_key();
    let list = |name: &str| name.as_bytes().to_vec();
    let miner = GenesisMiner { key: public(MINER), name: list(MINER).try_into().context("a name")? };
    Ok(Genesis::new(Params {
        network: list("dev-scale").try_into().context("a name")?,
        time: 1_790_000_000_000,
        max_images: 1_000_000_000,
        max_editions: u32::try_from(sales_an_image.max(100))?,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 1_000,
        min_interval_ms: 1,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        finality_depth: 10,
        max_validity: MAX_VALIDITY,
        max_block_bytes: 64 << 20,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 1_000,
        registrars: vec![public("registrar")].try_into().context("a registrar")?,
        issuers: Vec::new().try_into().context("no issuer")?,
        miners: vec![miner].try_into().context("a miner")?,
    })?)
}

fn fill(genesis: &Arc<Genesis>, datadir: &Path, entries: u64, sales: u64) -> Result<()> {
    let disk = Arc::new(FileDisk::open(datadir)?);
    let index = Arc::new(SledIndex::open(datadir.join("index"))?);
    let (mut ledger, _) = Ledger::open(genesis.clone(), disk, index)?;
    let mut next = 0;
    while next < sales {
        let end = sales.min(next + ORDERS_A_BLOCK);
        let expires_at = ledger.tip().height() + 1 + ORDERS_LIVE;
        for order in orders(genesis, next..end, entries, expires_at)? {
            let now = ledger.tip().header.header().time;
            ledger.admit(&order, Origin::Peer, now).context("an order of the filling")?;
        }
        while !ledger.mempool().is_empty() {
            make_block(genesis, &mut ledger)?;
        }
        next = end;
    }
    ledger.close()?;
    Ok(())
}

/// The sales with these numbers: each of one copy, of image and by account number modulo `entries`; signed and checked
/// on all cores.
fn orders(
    genesis: &Genesis,
    numbers: std::ops::Range<u64>,
    entries: u64,
    expires_at: u64,
) -> Result<Vec<CheckedTransaction>> {
    let threads = u64::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))?;
    let each = (numbers.end - numbers.start).div_ceil(threads).max(1);
    let parts: Vec<Result<Vec<CheckedTransaction>>> = std::thread::scope(|scope| {
        let spawn = |part: u64| {
            let from = numbers.start + part * each;
            let to = numbers.end.min(from + each);
            scope.spawn(move || (from..to).map(|number| sale(genesis, number, entries, expires_at)).collect())
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("signing does not panic")).collect()
    });
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

fn sale(genesis: &Genesis, number: u64, entries: u64, expires_at: u64) -> Result<CheckedTransaction> {
    let key = SecretKey::development(&format!("account-{}", number % entries));
    let lines = vec![Line { image: (number / entries + number) % entries, quantity: 1 }];
    let action = Action::Purchase { lines: lines.try_into().context("one line")?, total: 0 };
    let mut reference = [0; 16];
    reference[..8].copy_from_slice(&number.to_le_bytes());
    let body = Body { sender: key.public_key(), reference, expires_at, action };
    Ok(check_transaction(genesis.params(), &genesis.hash(), body.sign(&genesis.hash(), &key))?)
}

fn make_block(genesis: &Genesis, ledger: &mut Ledger) -> Result<()> {
    let key = SecretKey::development(MINER);
    let now = ledger.tip().header.header().time + 1_000;
    let template = ledger.template(key.public_key(), now)?;
    ensure!(!template.transactions.is_empty(), "a template without orders while some wait");
    let mut header: Header = template.header;
    header.time = header.time.max(now);
    let target = Target::from_bits(header.bits).context("a target")?;
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let signature = key.sign(&block_message(&header.id()));
    let bytes = block_bytes(&SignedHeader { header, signature }, &template.transactions);
    let known: std::collections::HashMap<_, _> =
        template.transactions.iter().map(|order| (order.leaf(), order)).collect();
    let known = |leaf: &_| known.get(leaf).map(|order| (*order).clone());
    let block = CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &known)?;
    ledger.insert_header(*block.header(), now)?;
    ledger.add_body(Arc::new(block));
    let advance = ledger.advance(true, now)?;
    ensure!(advance.refused.is_empty(), "a template's block was refused: {:?}", advance.refused);
    Ok(())
}

/// Starts the daemon on a datadir, waits until it answers, and asks the system for its memory.
async fn start(printsyd: &Path, folder: &Folder, datadir: &Path, number: usize) -> Result<Measured> {
    let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1)?.remove(0)));
    let words = ["run", "--listen", "", "--rpc-listen"].map(OsString::from);
    let mut arguments: Vec<OsString> = words.into();
    arguments.extend([rpc.to_string().into(), "--datadir".into(), datadir.into()]);
    let begun = Instant::now();
    let mut daemon = Daemon::start(printsyd, &arguments, &folder.log(number))?;
    while !http::get(rpc, "/livez").await.is_ok_and(|answer| answer.status == 200) {
        if let Some(status) = daemon.has_ended() {
            bail!("the daemon ended ({status}); see {}", folder.log(number).display());
        }
        ensure!(begun.elapsed() < READY_TIME, "no answer in {} s", READY_TIME.as_secs());
        sleep(LOOK_EVERY).await;
    }
    let ready = begun.elapsed();
    let resident_kib = resident_kib(daemon.id()?)?;
    daemon.stop().await?;
    Ok(Measured { ready, resident_kib })
}

/// What the system says a process has in memory.
fn resident_kib(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
