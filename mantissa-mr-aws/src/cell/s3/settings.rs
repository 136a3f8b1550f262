//! The witness's settings, where it is a bucket.

use crate::settings::Reader;

/// What [`S3Cells`](super::S3Cells) are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3CellsSettings {
    pub(crate) bucket: String,
    /// Ends with a slash.
    pub(crate) prefix: String,
}

/// The prefix of a witness that sets none.
const PREFIX: &str = "mantissa-mr/";
/// The longest prefix, in bytes; a key may have 1024, and the cells' names need their part of it.
const PREFIX_MAX: usize = 200;

/// What names are called that stand for something else than one general purpose bucket. With a multi-region access point two
/// regions could both win a compare-and-swap.
const OTHERS: [(&str, &str); 4] = [
    ("--x-s3", "a directory bucket"),
    ("-s3alias", "an access point"),
    ("--ol-s3", "an access point"),
    (".mrap", "a multi-region access point"),
];

/// Reads `bucket` and `prefix`.
pub(crate) fn read(reader: &mut Reader<'_>) -> S3CellsSettings {
    let bucket = reader.text("bucket", "the name of the ledger's bucket, best one of its own");
    if let Some((message, advice)) =
        Some(&bucket).filter(|bucket| !bucket.is_empty()).and_then(|it| unfit(it))
    {
        reader.refuse("bucket", message, advice);
    }
    let mut prefix = reader.optional_text("prefix").unwrap_or_else(|| PREFIX.to_owned());
    if !prefix.ends_with('/') {
        prefix.push('/');
    }
    if !is_prefix(&prefix) {
        let message = format!("`{prefix}` is no prefix for cells");
        let advice = format!(
            "use names out of A-Z a-z 0-9 . _ - (letter or digit first) joined by `/`, {PREFIX_MAX} bytes at most"
        );
        reader.refuse("prefix", message, advice);
    }
    S3CellsSettings { bucket, prefix }
}

/// Why this names no general purpose bucket, and what to do.
fn unfit(bucket: &str) -> Option<(String, &'static str)> {
    let advice = "name a general purpose bucket: `witness.settings.bucket`";
    let found = OTHERS.iter().find(|(suffix, _)| bucket.ends_with(suffix));
    if let Some((_, what)) = found.or_else(|| bucket.starts_with("arn:").then_some(&("arn:", "an ARN"))) {
        return Some((format!("`{bucket}` is {what}, not a bucket that cells can be in"), advice));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let sound = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(allowed)
        && edge(bucket.bytes().next())
        && edge(bucket.bytes().last());
    (!sound).then(|| (format!("`{bucket}` is not the name of a bucket"), advice))
}

fn is_prefix(prefix: &str) -> bool {
    let part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    prefix.len() <= PREFIX_MAX && prefix.strip_suffix('/').is_some_and(|names| names.split('/').all(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mantissa_mr_core::deployment::Settings;

    fn told(text: &str) -> (S3CellsSettings, String) {
        let settings: Settings = toml::from_str(text).unwrap();
        let mut reader = Reader::new(Some(&settings), "s".to_owned(), "the settings".to_owned());
        let read = read(&mut reader);
        let problems: Vec<_> = reader.finish().iter().map(ToString::to_string).collect();
        (read, problems.join("\n"))
    }

    #[test]
    fn a_prefix_ends_with_a_slash_and_has_a_default() {
        for (text, prefix) in [("", PREFIX), ("prefix = 'a/b'", "a/b/"), ("prefix = 'a/'", "a/")] {
            let (settings, problems) = told(&format!("bucket = 'ledger'\n{text}"));
            assert_eq!((settings.prefix.as_str(), problems.as_str()), (prefix, ""), "{text}");
        }
    }

    #[test]
    fn what_is_no_bucket_or_no_prefix_is_told() {
        for (text, wanted) in [
            ("", "s.bucket: is missing"),
            ("bucket = 'Ledger'", "`Ledger` is not the name of a bucket"),
            ("bucket = 'l'", "`l` is not the name of a bucket"),
            ("bucket = 'ledger--use1-az4--x-s3'", "a directory bucket"),
            ("bucket = 'mfzwi23gnjvgw.mrap'", "a multi-region access point"),
            ("bucket = 'arn:aws:s3:::ledger'", "an ARN"),
            ("bucket = 'ledger'\nprefix = '/a'", "is no prefix for cells"),
            ("bucket = 'ledger'\nprefix = 'a//b'", "is no prefix for cells"),
            ("bucket = 'ledger'\nprefix = '../b'", "is no prefix for cells"),
            ("bucket = 'ledger'\ntable = 't'", "s.table: is not a known setting"),
        ] {
            let (_, problems) = told(text);
            assert!(problems.contains(wanted), "{text}: {problems}");
        }
    }
}
