//! What a page of the documentation has its reader type, and what it says they will see.
//!
//! A block marked `sh` is typed, command by command. A block marked `text` after it is what the terminal then shows:
//! `...` alone on a line stands for any lines, and what differs each time (addresses, hashes, times, heights) may be
//! anything of its kind. Where it is marked `text refused`, the last command is refused.

/// Commands that stand together, and what they show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The commands, continued lines joined.
    pub typed: Vec<String>,
    /// What they show; nothing where the page says nothing.
    pub seen: Vec<String>,
    /// Whether the last one is refused.
    pub is_refused: bool,
}

/// The steps of a section; of the whole page where `section` is empty.
pub fn steps(page: &str, section: &str) -> Vec<Step> {
    let mut text = page;
    if !section.is_empty() {
        let (_, rest) = page.split_once(&format!("\n## {section}\n")).expect("the page has the section");
        text = rest.split("\n## ").next().unwrap();
    }
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        let (language, body) = block.split_once('\n').unwrap();
        match language {
            "sh" => {
                let joined = body.replace("\\\n", " ");
                steps.push(Step { typed: lines(&joined), seen: Vec::new(), is_refused: false });
            }
            "text" | "text refused" => {
                let step = steps.last_mut().expect("something was typed before");
                (step.seen, step.is_refused) = (lines(body), language == "text refused");
            }
            _ => {}
        }
    }
    steps
}

/// Lines that hold anything.
pub fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Whether a screen shows what a page says.
pub fn shows(screen: &[String], page: &[String]) -> bool {
    match page.split_first() {
        None => screen.is_empty(),
        Some((any, rest)) if any == "..." => {
            (0..=screen.len()).any(|skipped| shows(&screen[skipped..], rest))
        }
        Some((line, rest)) => {
            screen.split_first().is_some_and(|(shown, below)| is_alike(shown, line) && shows(below, rest))
        }
    }
}

/// Whether two lines differ at most in what differs each time.
pub fn is_alike(one: &str, other: &str) -> bool {
    kinds(one) == kinds(other)
}

/// The words of a line, with its kind for each that differs each time.
fn kinds(line: &str) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let follows_block = kinds.last().is_some_and(|last| last == "block");
        kinds.push(kind(word, follows_block));
    }
    kinds
}

fn kind(word: &str, follows_block: bool) -> String {
    let bare = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_made_of_numbers = |by: char| bare.split(by).count() == 3 && bare.split(by).all(is_number);
    let named = if bare.starts_with("prt1") && bare.len() > 40 {
        "ADDRESS"
    } else if bare.starts_with("12D3Koo") {
        "PEER"
    } else if bare.len() >= 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "HASH"
    } else if is_made_of_numbers('-') {
        "DATE"
    } else if is_made_of_numbers(':') || (bare.starts_with("20") && bare.contains('T') && bare.ends_with('Z'))
    {
        "TIME"
    } else if follows_block && is_number(bare) {
        "HEIGHT"
    } else {
        return word.to_owned();
    };
    word.replace(bare, named)
}

#[test]
fn a_screen_shows_what_a_page_says_or_does_not() {
    let address = |letter: &str| format!("prt1{}", letter.repeat(58));
    let page = lines(&format!("a\n...\nmine  {}, in block 7 (ab12cd34...)\n", address("q")));
    let shown = |text: &str| shows(&lines(text), &page);
    assert!(shown(&format!("a\n\nmine  {}, in block 81 (00000034...)", address("p"))));
    assert!(shown(&format!("a\nb\nc\nmine  {}, in block 1 (00000034...)", address("p"))));
    assert!(!shown(&format!("mine  {}, in block 1 (00000034...)", address("p"))));
    assert!(!shown(&format!("a\nyours  {}, in block 1 (00000034...)", address("p"))));
    assert!(!shown(&format!("a\nmine  {}, in block 1 (00000034...)\nmore", address("p"))));
    assert!(!is_alike("balance 100", "balance 101") && !is_alike("edition 1", "edition 2"));
}

#[test]
fn a_page_is_typed_block_by_block() {
    let page = "# A\n\n## B\n\n```sh\none \\\n  two\nthree\n```\n\nwords\n\n```text refused\nseen\n\n```\n\n## C\n\n```sh\nfour\n```\n";
    let first = Step {
        typed: vec!["one    two".to_owned(), "three".to_owned()],
        seen: vec!["seen".to_owned()],
        is_refused: true,
    };
    assert_eq!(steps(page, "B"), [first]);
    assert_eq!(steps(page, "").len(), 2);
}
