//! A disk that ends at any byte: the node ends with its code, and with room again nothing that was answered is lost.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use printsy_consensus::Genesis;
use printsy_ledger::Ledger;
use printsy_ledger::store::{Disk, Fuse, MemoryDisk, MemoryIndex};
use printsy_node::core::Core;
use printsy_node::exit::Failure;
use printsy_node::metrics::Metrics;

use super::*;

/// A disk with room for so many written bytes: what fits of a write is written, as real ones do.
#[derive(Debug)]
struct Small {
    files: MemoryDisk,
    room: AtomicU64,
}

impl Small {
    fn new(room: u64) -> Arc<Self> {
        Arc::new(Self { files: MemoryDisk::new(), room: AtomicU64::new(room) })
    }

    /// How many of these bytes fit.
    fn take(&self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let wanted = u64::try_from(bytes.len()).unwrap();
        let had = self.room.load(Ordering::SeqCst);
        self.room.store(had.saturating_sub(wanted), Ordering::SeqCst);
        if wanted <= had {
            return (bytes.len(), Ok(()));
        }
        (usize::try_from(had).unwrap(), Err(io::ErrorKind::StorageFull.into()))
    }
}

impl Disk for Small {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.files.list(folder)
    }
    fn len(&self, file: &str) -> io::Result<Option<u64>> {
        self.files.len(file)
    }
    fn read(&self, file: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.files.read(file, offset, len)
    }
    fn append(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let (fits, result) = self.take(bytes);
        self.files.append(file, &bytes[..fits])?;
        result
    }
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (fits, result) = self.take(bytes);
        self.files.write_at(file, offset, &bytes[..fits])?;
        result
    }
    fn sync(&self, file: &str) -> io::Result<()> {
        self.files.sync(file)
    }
    fn cut(&self, file: &str, len: u64) -> io::Result<()> {
        self.files.cut(file, len)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.files.remove(file)
    }
}

/// Gives blocks until the disk is full: those that were answered, and whether it was.
fn fill(genesis: &Arc<Genesis>, disk: &Arc<Small>, blocks: &[Arc<CheckedBlock>]) -> (usize, bool) {
    let opened = Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::new()));
    let mut rig = match opened {
        Ok((ledger, _)) => Rig::on(ledger),
        Err(error) => {
            assert_eq!(Failure::from(error).code(), 8);
            return (0, true);
        }
    };
    for (answered, block) in blocks.iter().enumerate() {
        let source = BlockSource::Local(Ticket(1));
        match rig.core.handle(Event::Block { source, block: block.clone() }, rig.now) {
            Ok(_) => assert_eq!(rig.tip(), block.id()),
            Err(error) => {
                let failure = Failure::from(error);
                assert_eq!(failure.code(), 8, "{failure}");
                assert!(failure.line().contains("make room"), "{failure}");
                return (answered, true);
            }
        }
    }
    (blocks.len(), false)
}

#[test]
fn a_disk_that_ends_at_any_byte_ends_the_node_and_loses_nothing() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let root = world.root();
    let blocks = chain(&mut world, &root, "miner-1", 6);
    let mut filled = 0;
    for room in (0..).step_by(61) {
        let disk = Small::new(room);
        let (answered, is_full) = fill(&genesis, &disk, &blocks);
        if !is_full {
            break;
        }
        filled += 1;
        for files in [disk.files.reopened(Fuse::never()), disk.files.crashed()] {
            let index = Arc::new(MemoryIndex::new());
            let (ledger, _) = Ledger::open(genesis.clone(), Arc::new(files), index).unwrap();
            let mut rig = Rig::on(ledger);
            let height = usize::try_from(rig.core.ledger().tip().height()).unwrap();
            assert!(height >= answered, "{room}: at {height}, {answered} were answered");
            assert_eq!(rig.tip(), if height == 0 { root } else { blocks[height - 1].id() });
            for block in &blocks[height..] {
                assert_eq!(rig.submit(block).0.verdict, BlockVerdict::Accepted, "{room}: it goes on");
            }
        }
    }
    assert!(filled > 30, "{filled} disks were full");
}

/// What is deep enough is made final at a tick, once the node is synced: where that cannot be written, it ends.
#[test]
fn a_disk_that_is_full_when_a_height_becomes_final_ends_the_node_with_its_code() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let mut world = World::new(&genesis);
    let root = world.root();
    let disk = Small::new(u64::MAX);
    let opened = Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::new()));
    let mut ledger = opened.unwrap().0;
    for block in chain(&mut world, &root, "miner-1", 6) {
        ledger.insert_header(*block.header(), u64::MAX).unwrap();
        ledger.add_body(block);
    }
    ledger.advance(false, 0).unwrap();
    assert_eq!((ledger.tip().height(), ledger.final_height()), (6, 0));
    disk.room.store(0, Ordering::SeqCst);
    let now = genesis.params().time + LATER;
    let mut core = Core::new(ledger, Metrics::default());
    let failure = Failure::from(core.handle(Event::Tick, now).unwrap_err());
    assert_eq!(failure.code(), 8, "{failure}");
    assert_eq!(core.ledger().final_height(), 0);
}
