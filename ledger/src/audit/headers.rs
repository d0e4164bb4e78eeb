//! headers.dat against the chain, record by record: header, signature, work, position.
//!
//! Up to the height where the chain stayed as it was at the index's mark, every record was made durable before the
//! mark and nobody writes it again: there it must be right. Above it a crash may leave anything, and the next start
//! writes each record anew: those are counted and no fault.

use printsy_consensus::{Genesis, SignedHeader, Target, Work};

use super::report::{Area, Check};
use crate::error::LedgerError;
use crate::store::{HeaderFile, HeaderRecord, StoreError};

/// The check on its way up the chain.
#[derive(Debug)]
pub(super) struct HeadersCheck {
    file: HeaderFile,
    firm: Option<u64>,
    work: Work,
    behind: u64,
    check: Check,
}

impl HeadersCheck {
    /// Begins with the record of genesis. `firm`: up to which height records must be right.
    pub(super) fn new(file: HeaderFile, firm: Option<u64>, genesis: &Genesis) -> Result<Self, LedgerError> {
        let check = Check::new(Area::File, "headers.dat");
        let mut headers = Self { file, firm, work: Work::default(), behind: 0, check };
        headers.record(0, genesis.header(), 0)?;
        Ok(headers)
    }

    /// Holds the record of a height against the block that the journal has at a position.
    pub(super) fn record(
        &mut self,
        height: u64,
        signed: &SignedHeader,
        position: u64,
    ) -> Result<(), LedgerError> {
        let work = Target::from_bits(signed.header.bits).map_or_else(Work::default, Target::work);
        self.work = self.work.plus(work);
        self.check.checked += 1;
        let expected = HeaderRecord { signed: *signed, work: self.work, position };
        let wrong = match self.file.get(height) {
            Ok(Some(record)) => difference(&record, &expected),
            Ok(None) => Some("there is no record".to_owned()),
            Err(error @ StoreError::Damaged { .. }) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        match wrong {
            Some(what) if self.firm.is_some_and(|firm| height <= firm) => {
                self.check.find(Some(height), Some(signed.header.id()), what);
            }
            Some(_) => self.behind += 1,
            None => {}
        }
        Ok(())
    }

    /// What came of it; `stopped` says why it is not the whole chain.
    pub(super) fn finish(mut self, stopped: Option<&str>) -> Check {
        if self.behind > 0 {
            let behind = self.behind;
            self.check.note = Some(format!(
                "{behind} records above the index's mark are not there yet; the next start writes them"
            ));
        }
        self.check.skipped = stopped.map(ToOwned::to_owned);
        self.check
    }
}

fn difference(got: &HeaderRecord, expected: &HeaderRecord) -> Option<String> {
    if got.signed.header != expected.signed.header {
        return Some(format!("the record is of block {}", got.signed.header.id()));
    }
    if got.signed != expected.signed {
        return Some("the record has another signature".to_owned());
    }
    if got.work != expected.work {
        return Some("the record has another total work".to_owned());
    }
    let (got, expected) = (got.position, expected.position);
    (got != expected)
        .then(|| format!("the record has the block at byte {got} of the journal, not {expected}"))
}
