//! `printsyd export`: the chain as one file, with the genesis it begins with, for `printsyd import`.
//!
//! The file is written beside its place and moved there when it is whole: a cut one never has its name. Without
//! `--to` the data goes to standard output, which must not be a terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use printsy_ledger::{ChainFileEnd, Ledger};

use super::{OfflineArgs, answer, open_ledger};
use crate::datadir::{GENESIS_FILE, GivenGenesis};
use crate::exit::Failure;
use crate::progress::Reporter;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// `printsyd export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    offline: OfflineArgs,
    /// The file to write; without it, standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "to")]
    force: bool,
    /// The last block to write; without it, the tip.
    #[arg(long, value_name = "HEIGHT")]
    up_to: Option<u64>,
}

/// Writes the chain into a file.
///
/// # Errors
/// Exit code 2 where the file is there, or the chain ends below `--up-to`; 5 where the datadir is damaged; 8 where the
/// disk is full. No file is left then.
pub fn export(args: &ExportArgs) -> Result<(), Failure> {
    match &args.to {
        Some(path) => args.check_place(path)?,
        None if io::stdout().is_terminal() => {
            let what = "a chain is no text for a terminal: pass --to FILE, or pipe it somewhere";
            return Err(Failure::Usage(what.to_owned()));
        }
        None => {}
    }
    let (datadir, genesis) = args.offline.open()?;
    let text = GivenGenesis::read(&datadir.path().join(GENESIS_FILE))?.text;
    let ledger = open_ledger(genesis, datadir.path())?;
    let written = match &args.to {
        Some(path) => args.write_file(&ledger, &text, path),
        None => args.write(&ledger, &text, io::stdout().lock()),
    };
    let closed = ledger.close();
    let end = written?;
    closed?;
    let report = format!(
        "exported {} blocks, {} bytes; tip {}; SHA-256 {}",
        end.height, end.bytes, end.tip, end.sha256
    );
    // What goes to standard output is data alone.
    match &args.to {
        Some(_) => answer(&(report + "\n")),
        None => {
            eprintln!("{report}");
            Ok(())
        }
    }
}

impl ExportArgs {
    /// Refuses to write over what is there, and to put a file in the place of anything but a file.
    fn check_place(&self, path: &Path) -> Result<(), Failure> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::io("look at", path, &error)),
            Ok(metadata) if !metadata.is_file() => Err(Failure::Usage(format!(
                "{} is there and is no file: choose another --to",
                path.display()
            ))),
            Ok(_) if self.force => Ok(()),
            Ok(_) => Err(Failure::Usage(format!(
                "{} is there already: choose another --to, or pass --force to write over it",
                path.display()
            ))),
        }
    }

    fn write_file(&self, ledger: &Ledger, text: &str, path: &Path) -> Result<ChainFileEnd, Failure> {
        let beside = beside(path)?;
        let failed = |what: &str, error: &io::Error| Failure::io(what, &beside.0, error);
        let file = OpenOptions::new().write(true).create_new(true).open(&beside.0);
        let file = file.map_err(|error| failed("make", &error))?;
        let end = self.write(ledger, text, &file)?;
        file.sync_all().map_err(|error| failed("write", &error))?;
        // Looked at again: it took its time.
        self.check_place(path)?;
        let moved = fs::rename(&beside.0, path).and_then(|()| File::open(folder_of(path))?.sync_all());
        moved.map_err(|error| Failure::io("write", path, &error))?;
        Ok(end)
    }

    fn write(&self, ledger: &Ledger, text: &str, out: impl Write) -> Result<ChainFileEnd, Failure> {
        let mut reporter = Reporter::new("exporting");
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let written = ledger.reader().export(text, self.up_to, out, &mut |at| reporter.tell(at));
        written.map_err(|error| Failure::moving_chain("export the chain", error, ""))
    }
}

/// A file on its way to its name; removed where it does not get there.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already where it was moved to its place.
        let _ = fs::remove_file(&self.0);
    }
}

fn beside(path: &Path) -> Result<Beside, Failure> {
    let name = path.file_name().ok_or_else(|| Failure::Usage(format!("{} names no file", path.display())))?;
    // Another process may write the same file at the same time.
    let name = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
    Ok(Beside(folder_of(path).join(name)))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
