//! Running controllers: automatic failover.

use std::io::Write;
use std::pin::pin;

use futures_util::future::try_join_all;
use mantissa_mr_core::controller::News;
use mantissa_mr_core::name::GroupName;
use mantissa_mr_core::operator::{Operator, Place};
use serde_json::json;
use tokio::sync::watch;

use crate::exit::{Exit, Outcome, Stop};
use crate::follow;
use crate::render::{Screen, note, printable, wrap};
use crate::signals::Interrupts;

/// Runs a controller for each group until Ctrl-C. With `--json`, each happening is a line of its own.
pub(super) async fn run(
    operator: &Operator,
    groups: &[GroupName],
    place: &Place,
    screen: Screen,
) -> Result<Outcome, Stop> {
    if place.vantage.is_none() {
        note(
            "no --vantage: this controller watches nothing itself; it carries out what others began, and orders",
        );
    }
    for group in groups {
        if operator.ledger(group).await?.is_none() {
            return Err(Stop::refused(format!("group {group} has no ledger: run `init` once")));
        }
    }
    let (ring, rings) = watch::channel(());
    let controllers = groups.iter().map(|group| {
        let mut rings = rings.clone();
        let stop = async move {
            // The sender is dropped only after the bell has rung.
            let _ = rings.changed().await;
        };
        operator.control(group, place.clone(), move |news, _| tell(group, news, screen), stop)
    });
    let bell = async {
        Interrupts::listen()
            .first("leaving: what is under way is finished by whoever takes over, or by `resume`")
            .await;
        ring.send_replace(());
    };
    let mut all = pin!(try_join_all(controllers));
    tokio::select! {
        biased;
        ended = &mut all => ended?,
        () = bell => all.await?,
    };
    Ok(Outcome::new(Exit::Done, json!({ "ending": "interrupted" })))
}

fn tell(group: &GroupName, news: &[News], screen: Screen) {
    let mut out = std::io::stdout().lock();
    for piece in news {
        let Some(text) = follow::text(&piece.what) else { continue };
        // Nobody reads any more: the controller goes on all the same.
        let _ = if screen.is_json() {
            let mut line = follow::document(&piece.what);
            line["at"] = json!(piece.at);
            line["group"] = json!(group);
            writeln!(out, "{line}")
        } else {
            let at = piece.at.strftime("%H:%M:%S%.3f");
            wrap(&text, &format!("{at} {group}: "), "             ")
                .iter()
                .try_for_each(|line| writeln!(out, "{}", printable(line)))
        };
    }
}
