//! Reads one shard of a stream, page after page.

use aws_sdk_dynamodbstreams::types::{self, ShardIteratorType};
use mantissa_mr_core::error::{Error, Result};

use super::cursor::Place;
use super::history::Look;

/// An open shard's end looks like any other stretch without records: so many empty pages are taken for it. Where a look
/// goes on from the place where the last one stopped, one is.
const EMPTY_PAGES: u32 = 4;
/// How often a place that is not good any more is looked up anew within one look.
const LOOKED_UP_MAX: u32 = 3;

/// A part of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    /// Nothing is added any more.
    pub(super) closed: bool,
}

/// What a look at a shard came to: whether it was read at all, or what went wrong.
pub(super) type Visit<'a> = (&'a Shard, Place, Result<bool>);

impl Shard {
    pub(super) fn of(shard: types::Shard) -> Option<Self> {
        let closed =
            shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some());
        Some(Self { id: shard.shard_id?, parent: shard.parent_shard_id, closed })
    }

    /// Reads on from a place: to the end of what is there now, or until the look is over.
    pub(super) async fn read<'a>(&'a self, look: &Look<'_>, arn: &str, mut place: Place) -> Visit<'a> {
        let read = self.pages(look, arn, &mut place).await;
        (self, place, read)
    }

    async fn pages(&self, look: &Look<'_>, arn: &str, place: &mut Place) -> Result<bool> {
        let going_on = matches!(place, Place::At { next: Some(_), .. });
        let mut patience = if going_on { 1 } else { EMPTY_PAGES };
        let (mut read, mut looked_up) = (false, 0);
        while !look.is_over() {
            let Place::At { after, next } = place else { return Ok(true) };
            let Some(iterator) = next.clone() else {
                looked_up += 1;
                match self.look_up(look, arn, after.as_deref()).await {
                    Ok(iterator) => *next = Some(iterator),
                    Err(Failed::Forgotten) if after.take().is_some() => look.missed(),
                    Err(failed) => return Err(failed.error(look)),
                }
                continue;
            };
            match page(look, &iterator).await {
                Ok(page) => {
                    read = true;
                    look.page(look.call("GetRecords"), &page.records)?;
                    let last =
                        page.records.iter().rev().find_map(|record| record.dynamodb()?.sequence_number());
                    if let Some(last) = last {
                        *after = Some(last.to_owned());
                        patience = patience.max(1);
                    } else if !self.closed {
                        patience = patience.saturating_sub(1);
                    }
                    match page.next {
                        None => *place = Place::Done,
                        next_page @ Some(_) => *next = next_page,
                    }
                    if patience == 0 {
                        return Ok(true);
                    }
                }
                Err(Failed::Expired) if looked_up < LOOKED_UP_MAX => *next = None,
                Err(Failed::Forgotten) if looked_up < LOOKED_UP_MAX => {
                    (*after, *next) = (None, None);
                    look.missed();
                }
                Err(failed) => return Err(failed.error(look)),
            }
        }
        Ok(read)
    }

    async fn look_up(&self, look: &Look<'_>, arn: &str, after: Option<&str>) -> Result<String, Failed> {
        let call = look.call("GetShardIterator");
        let request = look.client.get_shard_iterator().stream_arn(arn).shard_id(&self.id);
        let request = match after {
            Some(after) => {
                request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(after)
            }
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let asked = async { Ok(request.send().await) };
        let answer = look.wait(call, asked).await.map_err(Failed::Otherwise)?;
        let answer = answer.map_err(|error| Failed::of(look, "GetShardIterator", error))?;
        answer.shard_iterator.ok_or(Failed::Expired)
    }
}

struct Page {
    records: Vec<types::Record>,
    next: Option<String>,
}

async fn page(look: &Look<'_>, iterator: &str) -> Result<Page, Failed> {
    let request = look.client.get_records().shard_iterator(iterator);
    let asked = async { Ok(request.send().await) };
    let answer = look.wait(look.call("GetRecords"), asked).await.map_err(Failed::Otherwise)?;
    let answer = answer.map_err(|error| Failed::of(look, "GetRecords", error))?;
    Ok(Page { records: answer.records.unwrap_or_default(), next: answer.next_shard_iterator })
}

/// Why a shard could not be read on.
enum Failed {
    /// The service's name of the place is too old.
    Expired,
    /// What was to be read is older than the stream's memory.
    Forgotten,
    Otherwise(Error),
}

impl Failed {
    fn of<E>(look: &Look<'_>, operation: &'static str, error: super::Answer<E>) -> Self
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match crate::error::code(&error) {
            Some("ExpiredIteratorException") => Self::Expired,
            Some("TrimmedDataAccessException") => Self::Forgotten,
            _ => Self::Otherwise(super::failed(look.call(operation), error)),
        }
    }

    fn error(self, look: &Look<'_>) -> Error {
        use mantissa_mr_core::error::ErrorKind::Unavailable;
        let call = look.call("GetRecords");
        match self {
            Self::Expired => {
                call.error(Unavailable, "the service's places in a shard are too old when they come")
            }
            Self::Forgotten => call.error(Unavailable, "the shard forgets its records before they are read"),
            Self::Otherwise(error) => error,
        }
    }
}
