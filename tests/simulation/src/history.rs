//! One history.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use chrono::DateTime;
use staticreg_application::recording::Recorded;
use staticreg_domain::{
    Action, Clock, EventId, ManifestAccess, PullEvent,
    counting::{Classified, Counting, CountingMemory},
    journal::JournalEntry,
    metrics::CountKey,
};
use tokio::{
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::{
    clients::accesses,
    server::{Server, SimulatedClock},
    store::{State, Store},
};

/// What may happen in a history.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many servers there are.
    pub servers: usize,
    /// Of a hundred calls of the store so many fail.
    pub faults: u32,
    /// When servers are killed and started anew.
    pub kills: Kills,
    /// Whether the store falls back to an older state.
    pub fail_over: bool,
    /// Whether servers ask the registry for the children of indexes.
    pub asks: bool,
    /// How many accesses a server remembers at most.
    pub remembered: usize,
    /// How clients and registry dawdle.
    pub pace: Pace,
}

/// How much time passes in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All that clients do, they do within minutes; events come at most eight seconds late.
    Busy,
    /// Clients pause about as long as accesses are remembered.
    Quiet,
    /// The same, and events come up to 13 minutes late.
    Late,
}

/// How long after the last access everything may take until it is stored.
const PATIENCE: Duration = Duration::from_mins(20);

/// When a server is killed and another started in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kills {
    /// Never.
    Never,
    /// Now and then.
    AtRandom,
    /// Before each access that it is to take.
    BeforeEachAccess,
}

/// What is counted, by key.
pub type Counts = BTreeMap<CountKey, i64>;

/// The servers, some of which may just have been started anew.
type Servers = Rc<RefCell<Vec<Server>>>;

/// Plays the history of a seed, and says what is wrong with its end.
pub fn play(seed: u64, setting: Setting) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let start = "2026-11-21T23:58:00Z".parse().map_err(|_| "a time")?;
    let posted = accesses(&mut random, start, setting.pace);
    play_accesses(random, setting, posted).map(drop)
}

/// Plays a history of these accesses, which are in order; answers the counts at its end, or what is wrong with them.
pub fn play_accesses(random: fastrand::Rng, setting: Setting, posted: Vec<ManifestAccess>) -> Result<Counts, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&runtime, history(random, setting, posted))
}

async fn history(mut random: fastrand::Rng, setting: Setting, posted: Vec<ManifestAccess>) -> Result<Counts, String> {
    let start = posted.first().map_or(DateTime::UNIX_EPOCH, |access| access.at);
    let began = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock { start, began });
    let store = Store::new(random.fork(), setting.faults);
    let new_server = {
        let (store, clock) = (store.clone(), Arc::clone(&clock));
        move || Server::start(&store, &clock, setting)
    };
    let servers: Servers = Rc::new(RefCell::new((0..setting.servers).map(|_| new_server()).collect()));
    let answers: Rc<RefCell<HashMap<EventId, u32>>> = Rc::default();
    let mut posting = Vec::new();
    // A few replicas of the registry, each of which posts one event after the other.
    let replicas = random.usize(1..4);
    let mut queues = vec![Vec::new(); replicas];
    for access in &posted {
        queues[random.usize(0..replicas)].push(access.clone());
    }
    for queue in queues {
        let (servers, answers, mut random) = (Rc::clone(&servers), Rc::clone(&answers), random.fork());
        let delay = if setting.pace == Pace::Late { 780_000 } else { 8_000 };
        let (delay, new_server) = (random.u64(0..delay), new_server.clone());
        posting.push(spawn_local(async move {
            for access in queue {
                let happened = (access.at - start).to_std().unwrap_or_default();
                sleep_until(began + happened + Duration::from_millis(random.u64(0..=delay))).await;
                if setting.kills == Kills::BeforeEachAccess {
                    restart(&servers, random.usize(0..setting.servers), &new_server);
                }
                post(access, &servers, &answers, &mut random).await;
            }
        }));
    }
    let ended = Rc::new(Cell::new(false));
    let (going_on, mut chance, at_risk) = (Rc::clone(&ended), random.fork(), Rc::clone(&servers));
    let failing = store.clone();
    let trouble = spawn_local(async move {
        let mut before: Option<State> = None;
        while !going_on.get() {
            sleep(Duration::from_millis(chance.u64(100..20_000))).await;
            if setting.kills == Kills::AtRandom && chance.bool() {
                restart(&at_risk, chance.usize(0..setting.servers), &new_server);
            }
            if setting.fail_over && chance.u32(0..4) == 0 {
                match before.take() {
                    Some(before) => failing.restore(before),
                    None => before = Some(failing.state()),
                }
            }
        }
    });
    let last = posted.last().and_then(|access| (access.at - start).to_std().ok()).unwrap_or_default();
    for posting in posting {
        let stored = timeout_at(began + last + PATIENCE, posting).await;
        stored.map_err(|_| "what was posted is still not stored")?.map_err(|error| error.to_string())?;
    }
    ended.set(true);
    trouble.await.map_err(|error| error.to_string())?;
    // What was learnt may still be on its way, and what is stored later than anybody thinks.
    sleep(Duration::from_secs(30)).await;
    let state = store.state();
    check(&state, &posted, &answers.borrow(), setting)?;
    Ok(state.counts)
}

/// Kills a server, and starts one in its place.
fn restart(servers: &Servers, which: usize, start: impl Fn() -> Server) {
    let killed = std::mem::replace(&mut servers.borrow_mut()[which], start());
    killed.kill();
}

/// Posts until it is answered; the answer may get lost all the same.
async fn post(
    access: ManifestAccess,
    servers: &Servers,
    answers: &RefCell<HashMap<EventId, u32>>,
    random: &mut fastrand::Rng,
) {
    loop {
        let recorder = {
            let servers = servers.borrow();
            servers[random.usize(0..servers.len())].recorder()
        };
        if let Ok(recorded) = recorder.record(vec![access.clone()]).await {
            if recorded != [Recorded::Duplicate] {
                *answers.borrow_mut().entry(access.id).or_default() += 1;
            }
            if random.u32(0..10) > 0 {
                return;
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn check(
    state: &State,
    posted: &[ManifestAccess],
    answers: &HashMap<EventId, u32>,
    setting: Setting,
) -> Result<(), String> {
    let stored: Vec<_> = state.entries().cloned().collect();
    let ids: Vec<_> = stored.iter().filter_map(JournalEntry::access).map(|access| access.id).collect();
    let once: BTreeSet<_> = ids.iter().copied().collect();
    if once.len() != ids.len() {
        return Err("an access is stored twice".to_owned());
    }
    if !setting.fail_over {
        if once.len() != posted.len() {
            return Err(format!("{} accesses are stored of {}", once.len(), posted.len()));
        }
        if let Some((id, times)) = answers.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{id} was told {times} times to be counted"));
        }
    }
    let right = if setting.pace != Pace::Busy || setting.remembered < posted.len() {
        read_as_stored(state, setting.remembered)
    } else {
        read_in_order(&stored)
    };
    if right == state.counts {
        return Ok(());
    }
    let differs = |key: &&CountKey| right.get(*key) != state.counts.get(*key);
    let keys: BTreeSet<_> = right.keys().chain(state.counts.keys()).filter(differs).collect();
    let line = |key: &CountKey| {
        let [counted, right] = [&state.counts, &right].map(|counts| counts.get(key).copied().unwrap_or_default());
        let tag = key.tag.as_ref().map_or("-", |tag| tag.as_str());
        format!("{} {tag} {} {}: {counted} instead of {right}", key.kind, key.digest, key.architecture)
    };
    Err(keys.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The counts of reading everything in the order of the timestamps, by one server that was told all at once.
fn read_in_order(entries: &[JournalEntry]) -> Counts {
    let mut counting = Classified::new(100_000);
    let mut counts = Counts::new();
    let now = DateTime::UNIX_EPOCH;
    let mut accesses: Vec<_> = entries.iter().filter_map(JournalEntry::access).collect();
    accesses.sort_by_key(|access| (access.at, access.action != Action::Head, access.id));
    let mut events = Vec::new();
    for entry in entries {
        if let JournalEntry::Index { digest, children } = entry {
            events.extend(counting.learn(digest, children, now));
        }
    }
    events.extend(accesses.into_iter().filter_map(|access| counting.count(access, now).ok()));
    add(&events, &mut counts);
    counts.retain(|_, count| *count != 0);
    counts
}

/// The counts of reading the rows one after the other, by one server that remembers no more than the others do.
fn read_as_stored(state: &State, remembered: usize) -> Counts {
    let mut counting = Classified::new(remembered);
    let mut counts = Counts::new();
    for (now, entries) in state.rows() {
        counting.settle(now);
        counting.begin_trial();
        for entry in entries {
            let events = match entry {
                JournalEntry::Access(access) => counting.count(access, now).into_iter().collect(),
                JournalEntry::Index { digest, children } => counting.learn(digest, children, now),
            };
            add(&events, &mut counts);
        }
        counting.settle(now);
    }
    counts.retain(|_, count| *count != 0);
    counts
}

fn add(events: &[PullEvent], counts: &mut Counts) {
    for change in events.iter().flat_map(|event| &event.changes) {
        *counts.entry((*change.key).clone()).or_default() += i64::from(change.delta);
    }
}
