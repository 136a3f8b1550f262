//! The world that the detectors watch: one region, some vantages, and their faults, all drawn from one seed.
//!
//! Everything is a function of the seed and of the number of a probe, so that the same world can be watched probe by
//! probe or only where something happens in it, by any detector.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Seconds.
pub(crate) type Seconds = f64;

pub(crate) const DAY: Seconds = 86_400.0;

/// How often things fail. The rates are assumptions, not measurements.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    /// The share of probes that are lost by themselves.
    pub(crate) loss: f64,
    /// From one fault of a vantage's own egress to the next, in the mean; likewise one that takes a majority of the
    /// vantages together; both last so long in the mean.
    pub(crate) own: Seconds,
    pub(crate) shared: Seconds,
    pub(crate) fault: Seconds,
    /// From one outage of the region, not worth a failover, to the next, in the mean, and how long it lasts.
    pub(crate) blips: Seconds,
    pub(crate) blip: Seconds,
}

impl Rates {
    pub(crate) const SURVEY: Self =
        Self { loss: 0.005, own: 10.0 * DAY, shared: 30.0 * DAY, fault: 300.0, blips: 3.5 * DAY, blip: 20.0 };
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Seconds,
    pub(crate) to: Seconds,
}

/// How one probe and the self-check beside it end.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) vantage: usize,
    pub(crate) at: Seconds,
    pub(crate) answered: bool,
    pub(crate) control: bool,
}

pub(crate) struct World {
    pub(crate) interval: Seconds,
    pub(crate) end: Seconds,
    pub(crate) outages: Vec<Span>,
    vantages: Vec<Vantage>,
}

struct Vantage {
    /// When in its interval it probes, and how long the interval is by the world's clock.
    phase: f64,
    interval: Seconds,
    jitter: ChaCha8Rng,
    jitter_at: u64,
    faults: Vec<Span>,
    /// The numbers of its lost probes, in order.
    lost: Vec<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, vantages: usize, interval: Seconds, end: Seconds, rates: &Rates) -> Self {
        // A stream of random numbers for each purpose: the same outages whoever watches.
        let stream = |number: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(number);
            random
        };
        let outages = spans(&mut stream(1), end, rates.blips, rates.blip);
        let mut random = stream(2);
        let shared = spans(&mut random, end, rates.shared, rates.fault);
        let shared: Vec<(usize, Span)> =
            shared.into_iter().map(|span| (random.random_range(0..vantages), span)).collect();
        let vantages = (0..vantages)
            .map(|index| {
                let number = 10 + 3 * index as u64;
                let mut random = stream(number);
                // Clocks and schedulers differ by up to 1 %: the vantages drift through each other's phases.
                let interval = interval * random.random_range(0.99..1.01);
                let mut faults = spans(&mut random, end, rates.own, rates.fault);
                let hit = |first: usize| (index + vantages - first) % vantages < vantages / 2 + 1;
                faults.extend(shared.iter().filter(|(first, _)| hit(*first)).map(|(_, span)| *span));
                Vantage {
                    phase: random.random(),
                    interval,
                    jitter: stream(number + 1),
                    jitter_at: 0,
                    faults: merged(faults),
                    lost: lost(&mut stream(number + 2), rates.loss, (end / interval) as u64),
                }
            })
            .collect();
        Self { interval, end, outages: merged(outages), vantages }
    }

    /// A world in which nothing but lost probes happens until the region is gone for good, at that time.
    pub(crate) fn with_region_lost(
        seed: u64,
        vantages: usize,
        interval: Seconds,
        at: Seconds,
        end: Seconds,
    ) -> Self {
        let never = f64::INFINITY;
        let rates = Rates { own: never, shared: never, blips: never, ..Rates::SURVEY };
        let mut world = Self::new(seed, vantages, interval, end, &rates);
        world.outages = vec![Span { from: at, to: never }];
        world
    }

    pub(crate) fn vantages(&self) -> usize {
        self.vantages.len()
    }

    /// The number of a vantage's first probe at or after a time.
    pub(crate) fn first_probe(&mut self, vantage: usize, from: Seconds) -> u64 {
        let its = &self.vantages[vantage];
        let mut number = (from / its.interval - its.phase - 1.0).max(0.0) as u64;
        while self.time(vantage, number) < from {
            number += 1;
        }
        number
    }

    /// When a probe ends: in its interval's time, give or take a twentieth of the interval.
    pub(crate) fn time(&mut self, vantage: usize, number: u64) -> Seconds {
        let its = &mut self.vantages[vantage];
        if its.jitter_at != number {
            its.jitter.set_word_pos(u128::from(number));
        }
        its.jitter_at = number + 1;
        let jitter = f64::from(its.jitter.next_u32()) / f64::from(u32::MAX) - 0.5;
        (number as f64 + 1.0 + its.phase + jitter / 10.0) * its.interval
    }

    pub(crate) fn probe(&self, vantage: usize, number: u64, at: Seconds) -> Probe {
        let its = &self.vantages[vantage];
        let control = !within(&its.faults, at);
        let lost = its.lost.binary_search(&number).is_ok();
        Probe { vantage, at, answered: control && !lost && !within(&self.outages, at), control }
    }

    /// Where a detector can be moved that needs so many failures in a row: around every fault and around every run of
    /// that many lost probes of one vantage. Between them single probes are lost, and every other one is good.
    pub(crate) fn eventful(&self, failures: usize) -> Vec<Span> {
        let mut found = self.outages.clone();
        for its in &self.vantages {
            found.extend(&its.faults);
            for run in its.lost.windows(failures) {
                if run[failures - 1] - run[0] == failures as u64 - 1 {
                    let from = run[0] as f64 * its.interval;
                    found.push(Span { from, to: from + its.interval * (failures as f64 + 2.0) });
                }
            }
        }
        // Enough rounds before it for a detector to be where it would be had it watched all the time.
        let before = 8.0 * self.interval;
        let widened = found.into_iter().map(|span| Span { from: (span.from - before).max(0.0), ..span });
        merged(widened.collect())
    }
}

/// Spans that begin at random, independent of each other, and last a random, memoryless time.
fn spans(random: &mut impl Rng, end: Seconds, gap: Seconds, length: Seconds) -> Vec<Span> {
    let mut found = Vec::new();
    let mut from = exponential(random, gap);
    while from < end {
        found.push(Span { from, to: from + exponential(random, length) });
        from += exponential(random, gap);
    }
    found
}

fn exponential(random: &mut impl Rng, mean: Seconds) -> Seconds {
    -mean * (1.0 - random.random::<f64>()).ln()
}

fn lost(random: &mut impl Rng, share: f64, probes: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        // How many probes in a row are not lost is geometric.
        next += ((1.0 - random.random::<f64>()).ln() / (1.0 - share).ln()) as u64;
        if next >= probes {
            return found;
        }
        found.push(next);
        next += 1;
    }
}

/// The same stretches, in order and without overlap.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|one, other| one.from.total_cmp(&other.from));
    let mut found: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match found.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => found.push(span),
        }
    }
    found
}

fn within(spans: &[Span], at: Seconds) -> bool {
    let after = spans.partition_point(|span| span.from <= at);
    after > 0 && at < spans[after - 1].to
}
