//! The programs of the same build: `cargo test --release --workspace`, the README's own command.

use std::path::{Path, PathBuf};

/// The program of this name.
pub fn program(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_printsy-scenarios")).with_file_name(name);
    assert!(beside.is_file(), "{} is not built: run the tests of the whole workspace", beside.display());
    beside
}
