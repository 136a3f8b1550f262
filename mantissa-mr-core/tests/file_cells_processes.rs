//! File cells shared by real processes, some of which are killed with SIGKILL at random moments.
//!
//! The test binary starts itself as a child: with `CELLS_CHILD` set, the test `child` appends tokens to lists in cells,
//! and says on stderr what it tries and what was acknowledged. A list holds every token that was ever applied to its
//! cell, in order, so afterwards it can be seen exactly what was kept, lost or applied twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use mantissa_mr_core::cell::{Cell, CellName, CellStore, Expected, FileCells, StoreOutcome};

const CELLS: usize = 3;
/// Longer than a page or a pipe's buffer, so that a kill can meet a write halfway.
const PADDING: usize = 20_000;

fn name(number: usize) -> CellName {
    CellName::try_from(format!("processes/cell-{number}").as_str()).unwrap()
}

/// The tokens of a list: a line each, then padding.
fn tokens(cell: Option<&Cell>) -> Vec<String> {
    let Some(cell) = cell else { return Vec::new() };
    let text = std::str::from_utf8(&cell.value).expect("a value that nobody stored");
    let (list, padding) = text.split_once('=').expect("a value that nobody stored");
    assert!(padding.len() == PADDING && padding.bytes().all(|byte| byte == b'='), "a torn value");
    list.lines().map(str::to_owned).collect()
}

fn list(tokens: &[String]) -> Vec<u8> {
    let lines: String = tokens.iter().map(|token| format!("{token}\n")).collect();
    format!("{lines}={}", "=".repeat(PADDING)).into_bytes()
}

/// One line, in one write, so that a line that is there is whole unless it is the last.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

/// Appends a token to a list, however many others do the same.
async fn append(cells: &FileCells, cell: usize, token: &str) {
    loop {
        let seen = cells.load(&name(cell)).await.unwrap();
        let mut list_now = tokens(seen.as_ref());
        list_now.push(token.to_owned());
        say(&format!("try {cell} {token}"));
        match cells.store(&name(cell), &Expected::of(seen.as_ref()), &list(&list_now)).await.unwrap() {
            StoreOutcome::Applied { .. } => return say(&format!("ack {cell} {token}")),
            StoreOutcome::Lost => {}
            StoreOutcome::Unknown { why } => panic!("no disk fails here: {why}"),
        }
    }
}

#[tokio::test]
async fn child() {
    let Ok(role) = std::env::var("CELLS_CHILD") else { return };
    let (who, count) = role.split_once(' ').unwrap();
    let cells = FileCells::open(std::env::var("CELLS_FOLDER").unwrap()).await.unwrap();
    for round in 0..count.parse().unwrap() {
        append(&cells, round % CELLS, &format!("{who}.{round}")).await;
    }
    say("done");
}

fn start(folder: &Path, who: &str, count: usize) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("CELLS_CHILD", format!("{who} {count}"))
        .env("CELLS_FOLDER", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    (child, said)
}

/// What children said: of each cell, the tokens that were tried and those that were acknowledged.
#[derive(Default)]
struct Said {
    tried: BTreeMap<usize, BTreeSet<String>>,
    acknowledged: BTreeMap<usize, BTreeSet<String>>,
    finished: usize,
}

impl Said {
    fn read(&mut self, text: &str) {
        // A kill may cut the last line: then nobody was told.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["try", cell, token] => drop(insert(&mut self.tried, cell, token)),
                ["ack", cell, token] => drop(insert(&mut self.acknowledged, cell, token)),
                ["done"] => self.finished += 1,
                ["" | "running", ..] => {}
                _ => panic!("a child failed: {text}"),
            }
        }
    }

    fn acknowledgements(&self) -> usize {
        self.acknowledged.values().map(BTreeSet::len).sum()
    }
}

fn insert(map: &mut BTreeMap<usize, BTreeSet<String>>, cell: &str, token: &str) -> bool {
    map.entry(cell.parse().unwrap()).or_default().insert(token.to_owned())
}

/// Nothing acknowledged is missing, nothing is there that nobody tried, nothing is there twice.
async fn judge(folder: &Path, said: &Said) {
    let cells = FileCells::open(folder).await.unwrap();
    for cell in 0..CELLS {
        let read = cells.load(&name(cell)).await.unwrap();
        let kept = tokens(read.as_ref());
        let distinct: BTreeSet<String> = kept.iter().cloned().collect();
        assert_eq!(distinct.len(), kept.len(), "applied twice: {kept:?}");
        let empty = BTreeSet::new();
        let acknowledged = said.acknowledged.get(&cell).unwrap_or(&empty);
        let lost: Vec<_> = acknowledged.difference(&distinct).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let strange: Vec<_> = distinct.difference(said.tried.get(&cell).unwrap_or(&empty)).collect();
        assert!(strange.is_empty(), "there, and never tried: {strange:?}");
    }
}

#[tokio::test]
async fn two_processes_lose_no_swap_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    FileCells::create(folder.path()).await.unwrap();
    let children = ["a", "b"].map(|who| start(folder.path(), who, 90));
    let mut said = Said::default();
    for (mut child, mut err) in children {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        said.read(&text);
    }
    assert_eq!((said.finished, said.acknowledgements()), (2, 180));
    judge(folder.path(), &said).await;
}

/// SplitMix64: a moment for each kill, the same in each run as far as a moment can be.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

/// Waits for so many lines and a while more, kills the child, and gives all that it said.
#[expect(clippy::disallowed_methods, reason = "the child is a real process, and runs on in real time")]
fn kill(mut child: Child, mut err: BufReader<ChildStderr>, seed: &mut u64) -> String {
    let mut text = String::new();
    for _ in 0..20 + draw(seed, 40) {
        err.read_line(&mut text).unwrap();
    }
    // The moment must not be that of a line. What is asserted later holds for every moment.
    std::thread::sleep(Duration::from_micros(draw(seed, 4_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    err.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_nothing_acknowledged_and_leaves_every_cell_working() {
    let mut seed = 0x5eed;
    let (mut kills, mut in_between) = (0, 0);
    // Each round in a folder of its own, so that first stores are killed as well.
    for round in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        FileCells::create(folder.path()).await.unwrap();
        let mut said = Said::default();
        for victim in 0..4 {
            // A bystander that goes on while its neighbour dies, and finishes.
            let (mut bystander, mut words) = start(folder.path(), &format!("by{round}{victim}"), 9);
            let (child, err) = start(folder.path(), &format!("k{round}{victim}"), 100_000);
            said.read(&kill(child, err, &mut seed));
            kills += 1;
            let mut text = String::new();
            words.read_to_string(&mut text).unwrap();
            assert!(bystander.wait().unwrap().success(), "{text}");
            said.read(&text);
            judge(folder.path(), &said).await;
            in_between += usize::from(leftovers(folder.path()));
        }
        assert_eq!(said.finished, 4, "every bystander must come to its end");
        // No lock is left behind, whatever the killed ones held.
        let cells = FileCells::open(folder.path()).await.unwrap();
        for cell in 0..CELLS {
            append(&cells, cell, "last").await;
        }
    }
    println!("{kills} kills, {in_between} of them left a file that was being written");
}

fn leftovers(folder: &Path) -> bool {
    let cells = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    cells.into_iter().any(|cell| cell.join("next").exists())
}
