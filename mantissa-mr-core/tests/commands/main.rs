//! An operator's wrong command at the wrong time: every command, in every state of a group. Whatever it is, it is done,
//! refused with a reason, or asks for what it needs; and afterwards the group can be moved as ever: no command is a way into
//! a wedge, and none is missing that leads out of one.
//!
//! `matrix.txt` has the answers, to be read: `UPDATE_EXPECTED=1 cargo test -p mantissa-mr-core --test commands` writes what
//! they are now.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use mantissa_mr_core::state::State;

mod afterwards;
mod answer;
mod command;
mod on_site;
mod setting;
mod situation;
#[path = "../turn/stage.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod stage;
mod text;

use command::Command;
use situation::Situation;

/// One cell of the matrix: brings a world into the situation, gives the command, and sees that nothing is stuck.
fn cell(situation: Situation, command: Command) -> String {
    let mut world = situation.arise();
    let answer = command.give(&mut world);
    afterwards::moves_as_ever(&mut world);
    answer.to_string()
}

/// All cells, on as many threads as there are: a world is a pure function of its situation.
fn matrix() -> BTreeMap<(Situation, Command), String> {
    let all = Situation::ALL.iter().flat_map(|situation| Command::ALL.map(|command| (*situation, command)));
    let todo = Mutex::new(all.collect::<Vec<_>>());
    let done = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let Some((situation, command)) = todo.lock().unwrap().pop() else { break };
            let run = || cell(situation, command);
            let answer = std::panic::catch_unwind(run)
                .unwrap_or_else(|panic| format!("WEDGE {}", text::of_panic(panic.as_ref())));
            done.lock().unwrap().insert((situation, command), answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn every_command_in_every_state_is_answered_and_nothing_is_stuck() {
    let found = matrix();
    assert_eq!(found.len(), Situation::ALL.len() * Command::ALL.len());
    let now = text::table(&found);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/matrix.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let wedged: Vec<String> = found
        .iter()
        .filter(|(_, answer)| answer.starts_with("WEDGE"))
        .map(|((situation, command), answer)| format!("{situation} / {command}: {answer}"))
        .collect();
    assert!(wedged.is_empty(), "{} cells:\n{}", wedged.len(), wedged.join("\n"));
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(now, expected, "{} is not what it says", file.display());
}

/// A state without a situation would be one in which no command was ever tried.
#[test]
fn every_state_of_the_table_arises() {
    for state in State::ALL {
        let arises = Situation::ALL.iter().any(|situation| situation.state() == state);
        assert!(arises, "no situation has the state {state}: add one");
    }
}
