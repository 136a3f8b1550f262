//! Which requests the proxy interferes with, and how.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Exchange;

/// Describes requests: all of its conditions must hold.
///
/// Used for rules and for looking at the log. [`Match::nth`] and [`Match::first`] count the requests that
/// hold the other conditions, from the moment that the rule was set.
#[derive(Clone, Debug, Default)]
pub struct Match {
    operation: Option<String>,
    service: Option<String>,
    region: Option<String>,
    path: Option<String>,
    body: Option<String>,
    only: Option<Only>,
    turn: Turn,
}

#[derive(Clone)]
struct Only(Arc<dyn Fn(&Exchange) -> bool + Send + Sync>);

impl fmt::Debug for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Only")
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Turn {
    #[default]
    Every,
    Nth(u64),
    First(u64),
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests for this operation, as [`Exchange::operation`] has it.
    pub fn operation(name: impl Into<String>) -> Self {
        Self { operation: Some(name.into()), ..Self::default() }
    }

    /// Only requests signed for this region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only requests signed for this service, such as `route53`.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Only requests whose `METHOD /path?query` contains this text.
    #[must_use]
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Only requests whose body contains this text.
    #[must_use]
    pub fn body(mut self, part: impl Into<String>) -> Self {
        self.body = Some(part.into());
        self
    }

    /// Only requests of which this says yes.
    #[must_use]
    pub fn only(mut self, says: impl Fn(&Exchange) -> bool + Send + Sync + 'static) -> Self {
        self.only = Some(Only(Arc::new(says)));
        self
    }

    /// Only the `n`th such request, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.turn = Turn::Nth(n);
        self
    }

    /// Only the first `n` such requests.
    #[must_use]
    pub fn first(mut self, n: u64) -> Self {
        self.turn = Turn::First(n);
        self
    }

    /// Whether the request holds the conditions, [`Match::nth`] and [`Match::first`] left aside.
    pub fn fits(&self, request: &Exchange) -> bool {
        let Self { operation, service, region, path, body, only, turn: _ } = self;
        let is = |want: &Option<String>, have: Option<&String>| want.is_none() || want.as_ref() == have;
        let has = |want: &Option<String>, have: &dyn Fn() -> String| match want {
            Some(part) => have().contains(part),
            None => true,
        };
        is(operation, Some(&request.operation))
            && is(service, request.service.as_ref())
            && is(region, request.region.as_ref())
            && has(path, &|| format!("{} {}", request.method, request.path))
            && has(body, &|| request.text())
            && only.as_ref().is_none_or(|only| only.0(request))
    }

    /// Whether it is the turn of the `count`th request that fits.
    fn due(&self, count: u64) -> bool {
        match self.turn {
            Turn::Every => true,
            Turn::Nth(n) => count == n,
            Turn::First(n) => count <= n,
        }
    }
}

/// What a rule calls, on a thread where blocking is fine. It is given the request, as the log has it at
/// that moment. If it panics, the connection is closed and the log says so.
pub type Hook = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// What happens to a request that a rule matches.
#[derive(Clone)]
#[non_exhaustive]
pub enum Action {
    /// Close the connection; upstream never sees the request.
    DropBefore,
    /// Forward, and close the connection instead of answering: the answer is lost.
    DropAfter,
    /// Call a hook, and close the connection when it has returned; upstream never sees the request.
    Instead(Hook),
    /// Close the connection with a TCP reset; upstream never sees the request.
    Reset,
    /// Never answer, and do not forward. The connection stays open until the client closes it.
    BlackHole,
    /// Wait before forwarding. The request arrives even if the client has given up meanwhile.
    Delay(Duration),
    /// Answer in upstream's place, which never sees the request. The content type is JSON if the body
    /// begins with a brace, else XML.
    Answer {
        /// The status code.
        status: u16,
        /// The body.
        body: String,
    },
    /// Call a hook, and forward when it has returned.
    Before(Hook),
    /// Forward, call a hook when upstream has answered, and pass the answer on when it has returned.
    After(Hook),
}

impl Action {
    /// An [`Action::Instead`] that calls this closure.
    pub fn instead(hook: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self::Instead(Arc::new(hook))
    }

    /// An [`Action::Before`] that calls this closure.
    pub fn before(hook: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }

    /// An [`Action::After`] that calls this closure.
    pub fn after(hook: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(hook))
    }

    /// An [`Action::Answer`].
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, body: body.into() }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::DropBefore => "drop before",
            Self::DropAfter => "drop after",
            Self::Instead(_) => "hook instead",
            Self::Reset => "reset",
            Self::BlackHole => "black hole",
            Self::Delay(_) => "delay",
            Self::Answer { .. } => "answer",
            Self::Before(_) => "hook before",
            Self::After(_) => "hook after",
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names a rule, to [remove](super::Proxy::remove) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Default)]
pub(super) struct Rules(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    rules: Vec<Rule>,
}

struct Rule {
    id: RuleId,
    when: Match,
    action: Action,
    count: u64,
}

impl Rules {
    pub(super) fn add(&self, when: Match, action: Action) -> RuleId {
        let mut state = self.lock();
        let id = RuleId(state.next);
        state.next += 1;
        state.rules.push(Rule { id, when, action, count: 0 });
        id
    }

    pub(super) fn remove(&self, id: RuleId) {
        self.lock().rules.retain(|rule| rule.id != id);
    }

    pub(super) fn clear(&self) {
        self.lock().rules.clear();
    }

    /// What to do with this request. Every rule that it fits counts it; the oldest one whose turn it is
    /// decides.
    pub(super) fn decide(&self, request: &Exchange) -> Option<Action> {
        let mut decision = None;
        for rule in &mut self.lock().rules {
            if rule.when.fits(request) {
                rule.count += 1;
                if decision.is_none() && rule.when.due(rule.count) {
                    decision = Some(rule.action.clone());
                }
            }
        }
        decision
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
