//! Which known word a misspelt one was meant to be.

/// The known word that is nearest to this one, if fewer than `most + 1` slips of the pen lie between them. Of several
/// equally near ones it is the first.
pub(super) fn nearest<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
    most: usize,
) -> Option<&'k str> {
    let length = word.chars().count();
    known
        .into_iter()
        // Each slip adds or takes one letter at most: the rest need not be compared, however long the word is.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// How many slips make one word of the other: a letter left out, added, replaced, or swapped with its neighbour
/// (optimal string alignment).
pub(super) fn slips(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in right.iter().enumerate() {
            let cell = |cells: &[usize], column: usize| cells.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = cell(&last, column) + usize::from(from != to);
            let mut least = replaced.min(cell(&last, column + 1) + 1).min(cell(&current, column) + 1);
            let swapped =
                row > 0 && column > 0 && left.get(row - 1) == Some(to) && right.get(column - 1) == Some(from);
            if swapped {
                least = least.min(cell(&before_last, column - 1) + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_a_letter_left_out_added_replaced_or_swapped() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("same", "same", 0),
            ("stratgy", "strategy", 1),
            ("strateegy", "strategy", 1),
            ("stratagy", "strategy", 1),
            ("regoin", "region", 1),
            ("kitten", "sitting", 3),
            ("über", "uber", 1),
        ] {
            assert_eq!(slips(left, right), expected, "{left} {right}");
            assert_eq!(slips(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_within_the_limit_only() {
        let known = ["primary_region", "secondary_region"];
        assert_eq!(nearest("secondary_regoin", known, 2), Some("secondary_region"));
        assert_eq!(nearest("tertiary_region", known, 2), None);
        assert_eq!(nearest("b", ["a", "c"], 1), Some("a"));
    }
}
