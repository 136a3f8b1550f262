//! Terraform puts the old routing back: at every step of every kind of plan, again and again, and after the move has ended;
//! and a person promotes another region by hand. No move ends as if nothing were wrong with clients going where nobody
//! serves, and nobody fights for ever.

mod afterwards;
mod midway;
mod promoted;
mod scene;
#[path = "../turn/stage.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod stage;
