//! The pages that say what to type are typed, with the real programs: only ports and folders are others.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "it times what a person waits for")]

#[path = "pages/page.rs"]
mod page;
#[path = "pages/reader.rs"]
mod reader;
#[path = "pages/readme.rs"]
mod readme;
#[path = "pages/shop.rs"]
mod shop;
#[path = "pages/tutorial.rs"]
mod tutorial;
