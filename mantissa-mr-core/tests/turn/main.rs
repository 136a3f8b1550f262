//! A planned move turns unplanned midway, and says so: the region that it leaves dies, or the one that it moves to, at
//! every stage, with every policy. Whoever ordered the move is gone by then; the controllers are there. Or somebody
//! tampers with the evidence meanwhile.

mod active;
mod evidence;
mod lost;
mod passive;
mod stage;
mod tampered;
