//! What the records of a stream say of late writes. Pure: records in, findings out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{AttributeValue as Streamed, Record};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::Key;

use super::super::item::{self, Attributes, EPOCH, Fingerprint, TOKEN};
use crate::table::KeySchema;

/// An item as a stream has it.
type Image = HashMap<String, Streamed>;

/// An item that a late write took the place of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Find {
    /// The region whose stream says so.
    pub(super) found_in: Region,
    /// The epoch of the late write.
    pub(super) late: Epoch,
    /// The epoch of what it took the place of.
    pub(super) newer: Epoch,
    /// What it took the place of, whole.
    pub(super) image: Attributes,
    pub(super) fingerprint: Fingerprint,
    /// What the item looked like after this late write, and after others of older epochs that followed it.
    late_images: BTreeSet<Fingerprint>,
    /// The stream says that it was put back since.
    pub(super) put_back: bool,
}

impl Find {
    /// Whether an item that looks like this is as a late write left it.
    pub(super) fn shows_in(&self, shown: &Fingerprint) -> bool {
        self.late_images.contains(shown)
    }
}

/// What has been found in one region's stream: of each key the newest epoch's item, and of that the last.
#[derive(Debug)]
pub(super) struct Finds<'a> {
    region: &'a Region,
    keys: &'a KeySchema,
    by_key: BTreeMap<Key, Find>,
}

impl<'a> Finds<'a> {
    pub(super) fn new(region: &'a Region, keys: &'a KeySchema) -> Self {
        Self { region, keys, by_key: BTreeMap::new() }
    }

    /// How many have not been put back.
    pub(super) fn open(&self) -> usize {
        self.by_key.values().filter(|find| !find.put_back).count()
    }

    pub(super) fn into_map(self) -> BTreeMap<Key, Find> {
        self.by_key
    }

    /// Takes the next record in. The records of one key must come in their order.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), String> {
        let Some(change) = record.dynamodb() else { return Ok(()) };
        let (old, new) = (change.old_image(), change.new_image());
        let (before, after) = (old.and_then(epoch), new.and_then(epoch));
        let overtaking = before.zip(after).filter(|(before, after)| before > after);
        if overtaking.is_none() && self.by_key.is_empty() {
            return Ok(());
        }
        let key = change.keys().ok_or("a record of the stream does not say of which item it is")?;
        let key = item::key_of(&attributes(key)?, self.keys)?;
        match (overtaking, old, new) {
            (Some((newer, late)), Some(old), Some(new)) => self.overtaken(key, (newer, old), (late, new)),
            (_, Some(old), Some(new)) => self.followed(key, old, (after, new)),
            _ => {
                // It was deleted: what is there from now on took the place of nothing that is known.
                if let Some(find) = self.by_key.get_mut(&key) {
                    find.late_images.clear();
                }
                Ok(())
            }
        }
    }

    fn overtaken(&mut self, key: Key, over: (Epoch, &Image), by: (Epoch, &Image)) -> Result<(), String> {
        let late_image = item::fingerprint(&attributes(by.1)?)?;
        let mut late_images = match self.by_key.get_mut(&key) {
            Some(find) if find.newer > over.0 && !find.put_back => {
                find.late_images.insert(late_image);
                return Ok(());
            }
            Some(find) => std::mem::take(&mut find.late_images),
            None => BTreeSet::new(),
        };
        late_images.insert(late_image);
        let image = attributes(over.1)?;
        let fingerprint = item::fingerprint(&image)?;
        let find = Find {
            found_in: self.region.clone(),
            late: by.0,
            newer: over.0,
            image,
            fingerprint,
            late_images,
            put_back: false,
        };
        self.by_key.insert(key, find);
        Ok(())
    }

    /// A write that is late for nothing by itself, but may follow one that was.
    fn followed(
        &mut self,
        key: Key,
        old: &Image,
        (after, new): (Option<Epoch>, &Image),
    ) -> Result<(), String> {
        let Some(find) = self.by_key.get_mut(&key) else { return Ok(()) };
        let shown = item::fingerprint(&attributes(new)?)?;
        if shown == find.fingerprint {
            find.put_back = true;
            find.image.clear(); // it may be large, and is not needed any more
        } else if after.is_some_and(|after| after < find.newer) && written_whole(old, new) {
            find.late_images.insert(shown);
        }
        Ok(())
    }
}

/// Whether this store wrote the item whole: an update by others would have left the older epoch's attribute in place, and
/// says nothing of the epoch that it was made in.
fn written_whole(old: &Image, new: &Image) -> bool {
    new.contains_key(TOKEN) && new.get(TOKEN) != old.get(TOKEN)
}

fn epoch(image: &Image) -> Option<Epoch> {
    image.get(EPOCH)?.as_n().ok()?.parse().ok().map(Epoch)
}

/// Puts the findings of several regions together. Where two have the same epoch, the last region's counts.
pub(super) fn together(regions: impl Iterator<Item = BTreeMap<Key, Find>>) -> BTreeMap<Key, Find> {
    let mut all: BTreeMap<Key, Find> = BTreeMap::new();
    for (key, mut find) in regions.flatten() {
        match all.get_mut(&key) {
            Some(known) if known.newer > find.newer && !known.put_back => {
                known.late_images.append(&mut find.late_images)
            }
            Some(known) => {
                find.late_images.append(&mut known.late_images);
                *known = find;
            }
            None => {
                all.insert(key, find);
            }
        }
    }
    all
}

fn attributes(image: &Image) -> Result<Attributes, String> {
    image.iter().map(|(name, value)| Ok((name.clone(), attribute(value)?))).collect()
}

/// The two SDKs have a type each for one and the same thing.
fn attribute(value: &Streamed) -> Result<AttributeValue, String> {
    Ok(match value {
        Streamed::S(text) => AttributeValue::S(text.clone()),
        Streamed::N(number) => AttributeValue::N(number.clone()),
        Streamed::B(bytes) => AttributeValue::B(bytes.clone()),
        Streamed::Bool(flag) => AttributeValue::Bool(*flag),
        Streamed::Null(null) => AttributeValue::Null(*null),
        Streamed::L(values) => AttributeValue::L(values.iter().map(attribute).collect::<Result<_, _>>()?),
        Streamed::M(values) => AttributeValue::M(attributes(values)?),
        Streamed::Ss(texts) => AttributeValue::Ss(texts.clone()),
        Streamed::Ns(numbers) => AttributeValue::Ns(numbers.clone()),
        Streamed::Bs(blobs) => AttributeValue::Bs(blobs.clone()),
        _ => return Err("an attribute has a type that this version of the SDK does not know".to_owned()),
    })
}

#[cfg(test)]
mod tests;
