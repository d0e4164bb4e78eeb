//! The configuration that `init` writes: every key with its sentence and its default, commented out.
//!
//! Made from the table of keys, so that it cannot fall behind it. It says `datadir = "."`: the folder it lies
//! in, wherever that is.

use std::fmt::Write;

use crate::config::keys::{DATADIR, KEYS, Key};

/// The text of a new configuration, TOML.
///
/// # Panics
/// Never: a string takes all that is written to it.
#[must_use]
pub fn config_text() -> String {
    let mut text = String::from(
        "# The configuration of a Printsy node. A line that begins with # is the default, or an example.\n\
         # Flags and variables (PRINTSY_SECTION__KEY) come before what is set here.\n\
         # Relative paths are relative to this file's folder.\n",
    );
    let mut last = "";
    for key in KEYS {
        let (section, _) = key.parts();
        if section != last {
            write!(text, "\n[{section}]\n").expect("a string takes all");
            last = section;
        }
        write!(text, "# {}\n{}\n", key.about, line(key)).expect("a string takes all");
    }
    text
}

fn line(key: &Key) -> String {
    let (_, name) = key.parts();
    let mark = if key.name == DATADIR.name { "" } else { "# " };
    format!("{mark}{name} = {}", key.default.unwrap_or(key.example))
}
