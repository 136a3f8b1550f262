//! One client, one thing after another.

use std::collections::BTreeSet;

use super::{Context, Outcome, Stop, ensure};
use crate::cell::{CellName, CellVersion, Expected, MAX_VALUE, StoreOutcome};
use crate::error::ErrorKind;

pub(super) async fn says_where_it_is(context: &Context) -> Outcome {
    ensure!(!context.cells.durability().place.is_empty(), "`place` is empty");
    Ok(())
}

pub(super) async fn a_cell_is_created_once(context: &Context) -> Outcome {
    let name = context.name("created")?;
    let before = context.load(&name).await?;
    ensure!(before.is_none(), "a cell of this run is there already: {before:?}");
    let version = context.applied(&name, &Expected::Absent, b"one").await?;
    let cell = context.present(&name).await?;
    ensure!(cell.value == b"one", "it holds {:?}", cell.value);
    ensure!(cell.version == version, "it is in state {:?}, the store said {version:?}", cell.version);
    context.lost(&name, &Expected::Absent, b"two").await?;
    // The same value is another store all the same.
    context.lost(&name, &Expected::Absent, b"one").await
}

pub(super) async fn a_swap_applies_to_the_expected_version_only(context: &Context) -> Outcome {
    let name = context.name("swapped")?;
    let first = Expected::Version(context.applied(&name, &Expected::Absent, b"one").await?);
    let second = Expected::Version(context.applied(&name, &first, b"two").await?);
    let cell = context.present(&name).await?;
    ensure!(cell.value == b"two", "it holds {:?}", cell.value);
    ensure!(Expected::of(Some(&cell)) == second, "it is in state {:?}, not {second:?}", cell.version);
    context.lost(&name, &first, b"three").await?;
    context.lost(&name, &Expected::Absent, b"three").await?;
    context.applied(&name, &second, b"three").await.map(drop)
}

pub(super) async fn a_version_is_lost_on_a_cell_that_was_never_stored(context: &Context) -> Outcome {
    let other = context.name("stored")?;
    let version = Expected::Version(context.applied(&other, &Expected::Absent, b"one").await?);
    let name = context.name("never-stored")?;
    context.lost(&name, &version, b"two").await?;
    // And it can still be created.
    context.applied(&name, &Expected::Absent, b"one").await.map(drop)
}

pub(super) async fn a_made_up_version_changes_nothing(context: &Context) -> Outcome {
    let name = context.name("made-up")?;
    context.applied(&name, &Expected::Absent, b"one").await?;
    let before = context.present(&name).await?;
    for text in ["", "no version", "0", "\"0x8DC\"", "99999999999999999999999999", "*"] {
        let expected = Expected::Version(CellVersion(text.to_owned()));
        match context.cells.store(&name, &expected, b"two").await {
            Ok(StoreOutcome::Lost) => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => super::super::without_effect(&error)?,
            other => return Err(Stop::Fail(format!("version {text:?} was answered {other:?}"))),
        }
        let after = context.present(&name).await?;
        ensure!(after == before, "version {text:?} changed {before:?} to {after:?}");
    }
    Ok(())
}

pub(super) async fn versions_never_come_back(context: &Context) -> Outcome {
    let name = context.name("there-and-back")?;
    let mut expected = Expected::Absent;
    let mut seen = BTreeSet::new();
    for round in 0..12 {
        let value: &[u8] = if round % 2 == 0 { b"there" } else { b"back" };
        let version = context.applied(&name, &expected, value).await?;
        ensure!(seen.insert(version.clone()), "{version:?} came back in round {round}");
        expected = Expected::Version(version);
    }
    for version in seen.into_iter().map(Expected::Version).filter(|version| *version != expected) {
        context.lost(&name, &version, b"late").await?;
    }
    Ok(())
}

pub(super) async fn values_come_back_byte_for_byte(context: &Context) -> Outcome {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let values = [
        ("empty", Vec::new()),
        ("zero", vec![0]),
        ("bytes", every_byte.clone()),
        ("no-text", vec![0xff, 0xfe, 0x00, 0xc3, 0x28]),
        ("blanks", b" \t\r\n value \r\n\n".to_vec()),
        ("quoted", br#"{"a": "\u0000"}"#.to_vec()),
        ("large", every_byte.iter().copied().cycle().take(64 * 1024).collect()),
        ("largest", every_byte.iter().rev().copied().cycle().take(MAX_VALUE).collect()),
    ];
    for (what, value) in values {
        let name = context.name(&format!("value-{what}"))?;
        let version = context.applied(&name, &Expected::Absent, &value).await?;
        let cell = context.present(&name).await?;
        ensure!(cell.value == value, "the {what} value came back as {} other bytes", cell.value.len());
        ensure!(cell.version == version, "the {what} value is in state {:?}, not {version:?}", cell.version);
        // Over another value, too, and back to nothing.
        let version = context.applied(&name, &Expected::Version(version), b"x").await?;
        context.applied(&name, &Expected::Version(version), &value).await?;
        ensure!(context.present(&name).await?.value == value, "the {what} value did not come back again");
    }
    Ok(())
}

pub(super) async fn a_value_that_is_too_long_is_refused_or_kept_whole(context: &Context) -> Outcome {
    let name = context.name("too-long")?;
    context.applied(&name, &Expected::Absent, b"one").await?;
    let before = context.present(&name).await?;
    let value = vec![b'x'; MAX_VALUE + 1];
    match context.cells.store(&name, &Expected::of(Some(&before)), &value).await {
        Ok(StoreOutcome::Applied { .. }) => {
            let kept = context.present(&name).await?.value;
            ensure!(kept == value, "it kept {} of {} bytes", kept.len(), value.len());
        }
        Err(error) => {
            ensure!(error.kind() == ErrorKind::InvalidInput, "it was refused as {:#}", error);
            super::super::without_effect(&error)?;
            let after = context.present(&name).await?;
            ensure!(after == before, "the refused value changed the cell");
        }
        other => return Err(Stop::Fail(format!("it was answered {other:?}"))),
    }
    Ok(())
}

/// Names that a careless mapping to keys, files or URLs would let meet, or refuse.
fn names(context: &Context) -> Outcome<Vec<CellName>> {
    let long = "n".repeat(96);
    let texts = [
        "n",
        "n/n",
        "n/n/n",
        "n.n",
        "n-n",
        "n_n",
        "n--n",
        "n..n",
        "n.",
        "n./n",
        "nn",
        "N",
        "N/n",
        "n/N",
        "1",
        "01",
        "n/1",
        "n/01",
        "n.cell",
        "n.json",
        "n.tmp",
        "null",
        "con",
        "index.html",
        "n.lock",
        "n/value",
        "n/next",
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.abcdefghijklmnopqrstuvwxyz_-",
        &long,
        &format!("{long}/{long}/{long}"),
        &format!("{long}/{long}/{}m", "n".repeat(95)),
    ];
    texts.iter().map(|text| context.name(&format!("names/{text}"))).collect()
}

pub(super) async fn names_do_not_meet(context: &Context) -> Outcome {
    let names = names(context)?;
    for name in &names {
        let there = context.load(name).await?;
        ensure!(there.is_none(), "{name} is there before it was stored: {there:?}");
        context.applied(name, &Expected::Absent, name.as_str().as_bytes()).await?;
    }
    for name in &names {
        let value = context.present(name).await?.value;
        ensure!(value == name.as_str().as_bytes(), "{name} holds {:?}", String::from_utf8_lossy(&value));
    }
    Ok(())
}
