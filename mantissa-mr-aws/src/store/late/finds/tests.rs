use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodbstreams::primitives::Blob;
use aws_sdk_dynamodbstreams::types::StreamRecord;

use super::*;
use crate::table::KeyAttribute;

fn schema() -> KeySchema {
    KeySchema { hash: KeyAttribute { name: "pk".to_owned(), kind: ScalarAttributeType::S }, range: None }
}

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

/// An item of the key `k`: its epoch, this store's token and a content.
fn image(epoch: Option<u64>, token: Option<&str>, content: &str) -> Image {
    let text = |text: &str| Streamed::S(text.to_owned());
    let mut image: Image = [("pk".to_owned(), text("k")), ("content".to_owned(), text(content))].into();
    image.extend(epoch.map(|epoch| (EPOCH.to_owned(), Streamed::N(epoch.to_string()))));
    image.extend(token.map(|token| (TOKEN.to_owned(), text(token))));
    image
}

/// What this store writes: each write has a token of its own.
fn put(epoch: u64, content: &str) -> Image {
    image(Some(epoch), Some(content), content)
}

fn change(old: Option<&Image>, new: Option<&Image>) -> Record {
    let keys = HashMap::from([("pk".to_owned(), Streamed::S("k".to_owned()))]);
    let change = StreamRecord::builder().set_keys(Some(keys));
    let change = change.set_old_image(old.cloned()).set_new_image(new.cloned());
    Record::builder().dynamodb(change.build()).build()
}

/// What an item has looked like, one after the other; nothing where it was not there.
fn find_in(name: &str, life: &[Option<&Image>]) -> Option<Find> {
    let (region, keys) = (region(name), schema());
    let mut finds = Finds::new(&region, &keys);
    for step in life.windows(2) {
        finds.record(&change(step[0], step[1])).unwrap();
    }
    finds.into_map().remove(&Key::new("k"))
}

fn find(life: &[&Image]) -> Option<Find> {
    let life: Vec<Option<&Image>> = [None].into_iter().chain(life.iter().copied().map(Some)).collect();
    find_in("us-east-1", &life)
}

fn print(image: &Image) -> Fingerprint {
    item::fingerprint(&attributes(image).unwrap()).unwrap()
}

#[test]
fn an_older_epoch_over_a_newer_one_is_late_and_nothing_else_is() {
    let (newer, late) = (put(5, "newer"), put(3, "late"));
    let found = find(&[&newer, &late]).unwrap();
    assert_eq!((found.newer, found.late, found.found_in), (Epoch(5), Epoch(3), region("us-east-1")));
    assert_eq!(found.image, attributes(&newer).unwrap(), "the whole item is kept, key, epoch and token");
    let stranger = image(None, None, "no epoch");
    let text = Image::from([(EPOCH.to_owned(), Streamed::S("9".to_owned()))]);
    for life in [
        vec![&newer],
        vec![&late, &newer],
        vec![&newer, &newer],
        vec![&newer, &stranger, &late],
        vec![&stranger, &late],
        vec![&text, &late],
    ] {
        assert_eq!(find(&life), None, "{life:?}");
    }
}

#[test]
fn epochs_are_compared_as_numbers() {
    assert_eq!(find(&[&put(9, "a"), &put(10, "b")]), None);
    assert_eq!(find(&[&put(10, "a"), &put(9, "b")]).unwrap().newer, Epoch(10));
}

#[test]
fn the_newest_epoch_counts_and_of_that_the_last_item() {
    let (first, second, third) = (put(5, "first"), put(5, "second"), put(7, "third"));
    let (late, later) = (put(3, "late"), put(4, "later"));
    let found = find(&[&first, &late, &second, &later]).unwrap();
    assert_eq!((found.fingerprint, found.late), (print(&second), Epoch(4)));
    let found = find(&[&third, &late, &second, &later]).unwrap();
    assert_eq!((found.fingerprint, found.late), (print(&third), Epoch(3)), "not the one of epoch 5");
    for shown in [&late, &later, &second] {
        assert!(found.shows_in(&print(shown)), "all of them are older than epoch 7: {shown:?}");
    }
}

#[test]
fn what_follows_a_late_write_is_late_only_if_this_store_wrote_it_in_an_older_epoch() {
    let (newer, late) = (put(5, "newer"), put(3, "late"));
    let again = put(3, "late again");
    let found = find(&[&newer, &late, &again]).unwrap();
    assert!(found.shows_in(&print(&late)) && found.shows_in(&print(&again)));
    // The service itself changed an attribute, and left the epoch's as it was: nobody knows when that was allowed.
    let updated = image(Some(3), Some("late"), "updated");
    let foreign = image(Some(3), None, "replaced");
    let rewritten = put(5, "rewritten");
    for shown in [&updated, &foreign, &rewritten] {
        let found = find(&[&newer, &late, shown]).unwrap();
        assert!(!found.shows_in(&print(shown)), "{shown:?}");
    }
}

#[test]
fn what_was_put_back_is_not_found_again_until_it_is_overtaken_again() {
    let (newer, late, again) = (put(5, "newer"), put(3, "late"), put(3, "again"));
    let found = find(&[&newer, &late, &newer]).unwrap();
    assert!(found.put_back && found.image.is_empty());
    let found = find(&[&newer, &late, &newer, &again]).unwrap();
    assert!(!found.put_back && found.shows_in(&print(&again)));
    assert_eq!(found.image, attributes(&newer).unwrap());
    // What was put back is no reason to overlook an item of an epoch in between.
    let between = put(4, "between");
    let life = [Some(&newer), Some(&late), Some(&newer), None, Some(&between), Some(&again)];
    assert_eq!(find_in("us-east-1", &life).unwrap().newer, Epoch(4));
}

#[test]
fn nothing_shows_a_late_write_any_more_once_it_was_deleted() {
    let (newer, late, again) = (put(5, "newer"), put(3, "late"), put(3, "again"));
    let found = find_in("us-east-1", &[Some(&newer), Some(&late), None, Some(&again)]).unwrap();
    assert!(!found.shows_in(&print(&late)) && !found.shows_in(&print(&again)));
}

#[test]
fn of_several_regions_the_newest_epoch_counts_then_the_region_that_serves() {
    let (older, newer, late, other) = (put(5, "older"), put(7, "newer"), put(3, "late"), put(3, "other"));
    let in_region = |name, over: &Image, by: &Image| {
        let found = find_in(name, &[Some(over), Some(by)]).unwrap();
        BTreeMap::from([(Key::new("k"), found)])
    };
    for (west, east, wanted) in [(&newer, &older, "west"), (&older, &newer, "east"), (&newer, &newer, "east")]
    {
        let regions = [in_region("west", west, &late), in_region("east", east, &other)];
        let found = together(regions.into_iter()).remove(&Key::new("k")).unwrap();
        assert_eq!((found.found_in.clone(), found.newer), (region(wanted), Epoch(7)));
        assert!(found.shows_in(&print(&late)) && found.shows_in(&print(&other)), "{wanted}");
    }
}

#[test]
fn every_type_is_the_same_in_both_sdks() {
    let blob = || Blob::new([0, 1, 255]);
    let all = Streamed::L(vec![
        Streamed::S("ü".to_owned()),
        Streamed::N("-1.5".to_owned()),
        Streamed::B(blob()),
        Streamed::Bool(false),
        Streamed::Null(true),
        Streamed::M([("x".to_owned(), Streamed::Ss(vec!["p".to_owned()]))].into()),
        Streamed::Ns(vec!["1".to_owned()]),
        Streamed::Bs(vec![blob()]),
    ]);
    let wanted = AttributeValue::L(vec![
        AttributeValue::S("ü".to_owned()),
        AttributeValue::N("-1.5".to_owned()),
        AttributeValue::B(blob()),
        AttributeValue::Bool(false),
        AttributeValue::Null(true),
        AttributeValue::M([("x".to_owned(), AttributeValue::Ss(vec!["p".to_owned()]))].into()),
        AttributeValue::Ns(vec!["1".to_owned()]),
        AttributeValue::Bs(vec![blob()]),
    ]);
    assert_eq!(attribute(&all).unwrap(), wanted);
}
