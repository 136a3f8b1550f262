//! What is let go, refused for good, unreadable or interrupted leaves no wedge, and what was meant for one execution meets
//! no other.

mod begun;
mod doubt;
mod interrupted;
mod recovering;
mod scene;
#[path = "../turn/stage.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod stage;
mod tap;
mod unusable;
