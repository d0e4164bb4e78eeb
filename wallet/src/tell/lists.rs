//! The lists: a line for each entry, newest first as the node tells them.

use printsy_rpc::HashHex;
use printsy_rpc::block::HeaderInfo;
use printsy_rpc::chain::MinerInfo;
use printsy_rpc::history::{History, HistoryEntry, Holdings, Owners, Reviews};

use super::deeds::did;
use super::{block, count, numbers, plain};

/// What an account holds.
#[must_use]
pub fn holdings(answer: &Holdings) -> String {
    let lines = answer.holdings.iter().map(|holding| {
        let rating = holding.rating.map_or_else(String::new, |rating| format!(", rated {rating} of 5"));
        format!("image {}: {}{rating}", holding.image, count(holding.quantity.into(), "edition", "editions"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What happened to an account or an image.
#[must_use]
pub fn history(answer: &History) -> String {
    answer.entries.iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn entry(entry: &HistoryEntry) -> String {
    let place = block(entry.position.height, &entry.hash);
    let stage = if entry.is_final { "final" } else { "included" };
    let bought = entry.editions.iter().flatten();
    let bought: String = bought.map(|range| format!("; image {}: {}", range.image, numbers(range))).collect();
    let transaction = &entry.transaction;
    format!(
        "{}  block {place}, {stage}: {}{bought}, by {}, order {}",
        date(entry.time),
        did(&transaction.action),
        transaction.sender,
        transaction.tx_id
    )
}

/// Who bought an image.
#[must_use]
pub fn owners(answer: &Owners) -> String {
    let lines = answer.owners.iter().map(|owner| {
        let numbers = if owner.from == owner.to {
            format!("edition {}", owner.from)
        } else {
            format!("editions {} to {}", owner.from, owner.to)
        };
        format!("{numbers}: {}, block {}, order {}", owner.account, owner.position.height, owner.tx_id)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What buyers say of an image.
#[must_use]
pub fn reviews(answer: &Reviews) -> String {
    let lines = answer.reviews.iter().map(|review| {
        let replaced = if review.replaced == Some(true) { ", replaced since" } else { "" };
        let text: String = review.text.lines().map(|line| format!("\n    {}", plain(line))).collect();
        format!(
            "{} of 5{replaced}, by {}, block {}{text}",
            review.rating, review.account, review.position.height
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Who may make blocks, and who did.
#[must_use]
pub fn miners(answer: &[MinerInfo]) -> String {
    let lines = answer.iter().map(|miner| {
        let last = match miner.last_height {
            0 => "none yet".to_owned(),
            height => format!("last in block {height}"),
        };
        let blocks = count(miner.blocks, "block", "blocks");
        let share = miner.share * 100.0;
        format!(
            "{}  {}: {blocks}, {last}, {share:.1} % of the last 1000, registered at {}",
            plain(&miner.name),
            miner.key,
            miner.registered_at
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A block that came.
#[must_use]
pub fn came(header: &HeaderInfo) -> String {
    let miner = header.miner_name.as_deref().map_or_else(String::new, |name| format!(", by {}", plain(name)));
    format!("{}  block {}{miner}", date(header.time), block(header.height, &header.hash))
}

/// A block that went.
#[must_use]
pub fn gone(height: u64, hash: &HashHex) -> String {
    format!("block {} is gone from the chain", block(height, hash))
}

/// A time in milliseconds since 1970 as a date and a time of day, in UTC.
#[must_use]
pub fn date(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date of the Gregorian calendar, in years that begin in March: 400 of them have 146,097
    // days, whatever their leap years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", second % 60)
}
