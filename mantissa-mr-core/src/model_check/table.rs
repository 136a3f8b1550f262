//! Numbers for values, and tables that are only looked up in: what makes millions of states small and fast.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// A map that is never walked through, so that its order does not matter; its hasher has no random part.
#[expect(
    clippy::disallowed_types,
    reason = "only looked up in, never walked through, and the hasher is fixed"
)]
pub(super) type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Fx>>;

/// The multiplicative hash that rustc uses, with a last round that spreads the high bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fx(u64);

impl Fx {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}

impl Hasher for Fx {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^ (hash >> 32)
    }
}

/// A set of fingerprints: one flat table, eight bytes for each place.
#[derive(Debug)]
pub(super) struct Fingerprints {
    places: Vec<u64>,
    taken: usize,
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self { places: vec![0; 1 << 12], taken: 0 }
    }
}

impl Fingerprints {
    /// Whether it was not there yet.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.taken * 2 >= self.places.len() {
            let places = vec![0; self.places.len() * 2];
            let old = std::mem::replace(&mut self.places, places);
            self.taken = 0;
            old.into_iter().filter(|place| *place != 0).for_each(|place| _ = self.place(place));
        }
        // Nought says that a place is free.
        self.place(fingerprint.max(1))
    }

    fn place(&mut self, fingerprint: u64) -> bool {
        let mask = self.places.len() - 1;
        let mut at = usize::try_from(fingerprint).unwrap_or_default() & mask;
        loop {
            match self.places[at] {
                0 => {
                    self.places[at] = fingerprint;
                    self.taken += 1;
                    return true;
                }
                there if there == fingerprint => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

/// Gives each different value a number. Two values are the same if their keys are; the first one stands for both.
#[derive(Debug)]
pub(super) struct Interner<T> {
    numbers: RefCell<Map<String, u32>>,
    /// The first value and the last one with this number.
    values: RefCell<Vec<[Rc<T>; 2]>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: RefCell::default(), values: RefCell::default() }
    }
}

impl<T> Interner<T> {
    pub(super) fn number(&self, key: String, value: T) -> u32 {
        let (mut values, value) = (self.values.borrow_mut(), Rc::new(value));
        let next = u32::try_from(values.len()).expect("no more values than fit");
        let number = *self.numbers.borrow_mut().entry(key).or_insert(next);
        match values.get_mut(usize::try_from(number).unwrap()) {
            Some([_, last]) => *last = value,
            None => values.push([value.clone(), value]),
        }
        number
    }

    pub(super) fn get(&self, number: u32) -> Rc<T> {
        self.values.borrow()[usize::try_from(number).unwrap()][0].clone()
    }

    /// What a function makes of a value. Since the first one stands for all, it must make the same of the last one.
    pub(super) fn of<R: PartialEq + fmt::Debug>(&self, number: u32, function: impl Fn(&T) -> R) -> R {
        let [first, last] = self.values.borrow()[usize::try_from(number).unwrap()].clone();
        let made = function(&first);
        if !Rc::ptr_eq(&first, &last) {
            assert_eq!(made, function(&last), "two values that differ in what matters have one key");
        }
        made
    }
}

/// What a function gave before. The library's own functions are pure: asked the same again, they say the same again.
#[derive(Debug)]
pub(super) struct Memo<K, V>(RefCell<Map<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + Eq + std::hash::Hash, V: Clone> Memo<K, V> {
    pub(super) fn get(&self, key: &K, ask: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.borrow().get(key) {
            return known.clone();
        }
        let value = ask();
        self.0.borrow_mut().insert(key.clone(), value.clone());
        value
    }
}
