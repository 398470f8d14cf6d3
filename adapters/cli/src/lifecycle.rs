//! The program's tasks, and its end.
//!
//! A stop has one order: nothing more is accepted, what was accepted is answered, the background ends, and last the
//! tasks that finish by themselves; all within one limit. A task that ends before is a failure, and ends the program:
//! without it staticreg would look alive and do nothing, while whatever runs it can start it anew.

use std::{any::Any, collections::HashMap, future::pending, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Failure, supervisor::Supervisor};

/// What runs beside the requests.
pub(crate) struct Lifecycle {
    /// Nothing more is accepted.
    stop: CancellationToken,
    /// Everything that was accepted is answered.
    served: CancellationToken,
    /// Whether it is well that a task has ended; a failure tells why not.
    tasks: JoinSet<Result<bool, Failure>>,
    names: HashMap<Id, &'static str>,
    failure: Option<Failure>,
    /// Hears how all this does.
    supervisor: Arc<Supervisor>,
}

impl Lifecycle {
    /// A lifecycle that ends with the first SIGTERM or SIGINT; a second one ends the process.
    pub(crate) fn until_signal() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Asks for files that may change to be looked at; where there are none, it must not end the program either.
        let _ = signal(SignalKind::hangup())?;
        let lifecycle = Self { supervisor: Arc::new(Supervisor::of_process()), ..Self::new() };
        let stop = lifecycle.stop.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("Stopping");
            stop.cancel();
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(1);
        });
        Ok(lifecycle)
    }

    pub(crate) fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            served: CancellationToken::new(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            failure: None,
            supervisor: Arc::default(),
        }
    }

    /// Ends when nothing more is to be accepted.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Ends when everything that was accepted is answered.
    pub(crate) fn served(&self) -> impl Future<Output = ()> + Send + 'static {
        self.served.clone().cancelled_owned()
    }

    /// Runs a task that ends by itself, when nobody needs it any more after a stop.
    pub(crate) fn spawn_essential(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            task.await;
            Ok(stop.is_cancelled())
        });
    }

    /// Runs a task that never ends, until everything is answered.
    pub(crate) fn spawn_background(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let served = self.served();
        self.spawn(name, async move {
            tokio::select! {
                () = task => Ok(false),
                () = served => Ok(true),
            }
        });
    }

    /// Runs a task that may end at any time, until everything is answered. Its failure ends the program.
    pub(crate) fn spawn_passing(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) {
        let served = self.served();
        self.spawn(name, async move {
            tokio::select! {
                ended = task => ended.map(|()| true),
                () = served => Ok(true),
            }
        });
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = Result<bool, Failure>> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Serves to the end, which a task brings about that ends too soon. What runs the program hears of the beginning, of
    /// the end, and in between that no task has ended.
    pub(crate) async fn serve<T>(&mut self, serving: impl Future<Output = T>) -> T {
        tokio::pin!(serving);
        self.supervisor.ready();
        let stop = self.stop.clone();
        let mut beat = self.supervisor.pace().map(|pace| {
            let mut beat = interval(pace);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        });
        let mut is_told = false;
        let served = loop {
            tokio::select! {
                served = &mut serving => break served,
                Some(ended) = self.tasks.join_next_with_id() => self.judge(ended),
                () = stop.cancelled(), if !is_told => {
                    self.supervisor.stopping();
                    is_told = true;
                }
                () = next(&mut beat), if !is_told => {
                    // Where the tasks run: when these threads are all stuck, the program is.
                    let supervisor = Arc::clone(&self.supervisor);
                    tokio::spawn(async move { supervisor.alive() });
                }
            }
        };
        // Without work a stop is over at once.
        if !is_told {
            self.supervisor.stopping();
        }
        served
    }

    /// Ends the tasks; whether all of them ended in time. An error tells which one ended too soon.
    pub(crate) async fn finish(mut self, limit: Duration) -> Result<bool, Failure> {
        self.stop.cancel();
        self.served.cancel();
        let finishing = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.judge(ended);
            }
        };
        let in_time = timeout(limit, finishing).await.is_ok();
        self.failure.take().map_or(Ok(in_time), Err)
    }

    /// Stops everything when a task has ended that should not have.
    fn judge(&mut self, ended: Result<(Id, Result<bool, Failure>), JoinError>) {
        let (id, why) = match ended {
            Ok((_, Ok(true))) => return,
            Ok((_, Err(failure))) => {
                self.failure.get_or_insert(failure);
                self.stop.cancel();
                return;
            }
            Ok((id, Ok(false))) => (id, "it ended".to_owned()),
            Err(error) => (error.id(), words(error)),
        };
        let name = self.names.get(&id).copied().unwrap_or_default();
        let sentence = format!(
            "the part of the program that {name} has failed ({why}). staticreg ends, so that whatever runs it can start \
             it anew."
        );
        tracing::error!("Stopping: {sentence}");
        self.failure.get_or_insert(Failure::Other(sentence));
        self.stop.cancel();
    }
}

async fn next(beat: &mut Option<Interval>) {
    match beat {
        Some(beat) => {
            beat.tick().await;
        }
        None => pending().await,
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// What a task said when it panicked.
fn words(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was given up".to_owned() };
    let text = |panic: &(dyn Any + Send)| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    };
    text(&*panic).map_or_else(|| "it panicked".to_owned(), |text| format!("it panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Serves until the lifecycle stops, by itself or after an hour.
    async fn run(mut lifecycle: Lifecycle) -> Result<bool, Failure> {
        let stopping = lifecycle.stopping();
        let serving = async {
            tokio::select! {
                () = stopping => {}
                () = sleep(Duration::from_hours(1)) => {}
            }
        };
        lifecycle.serve(serving).await;
        lifecycle.finish(LIMIT).await
    }

    fn told(ended: Result<bool, Failure>) -> String {
        let Err(Failure::Other(told)) = ended else { panic!("it did not fail") };
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_any_task_ends_the_program_and_is_told() {
        type Spawn = fn(&mut Lifecycle);
        let spawns: [Spawn; 3] = [
            |lifecycle| lifecycle.spawn_essential("stores events", async { panic!("no {}", "good") }),
            |lifecycle| lifecycle.spawn_background("stores events", async { panic!("no good") }),
            |lifecycle| lifecycle.spawn_passing("stores events", async { panic!("no good") }),
        ];
        for spawn in spawns {
            let mut lifecycle = Lifecycle::new();
            spawn(&mut lifecycle);
            let told = told(run(lifecycle).await);
            let words = "the part of the program that stores events has failed (it panicked: no good). ";
            assert!(told.starts_with(words), "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_too_soon_ends_the_program() {
        let mut lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("stores events", async {});
        assert!(told(run(lifecycle).await).contains("stores events has failed (it ended)"));
        let mut lifecycle = Lifecycle::new();
        lifecycle.spawn_background("forgets", async {});
        assert!(told(run(lifecycle).await).contains("forgets has failed (it ended)"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_the_program_hears_that_it_lives_until_a_task_ends_too_soon() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let ear = UnixDatagram::bind(&path).expect("a socket");
        ear.set_nonblocking(true).expect("it does not wait");
        let watchdog = Duration::from_mins(20);
        let mut lifecycle =
            Lifecycle { supervisor: Arc::new(Supervisor::at(&path, watchdog).expect("a socket")), ..Lifecycle::new() };
        // The third beat is heard, the fourth would be when the server finishes what it has accepted.
        lifecycle.spawn_essential("stores events", sleep(Duration::from_mins(25)));
        let serving = sleep(Duration::from_hours(1));
        lifecycle.serve(serving).await;
        assert!(told(lifecycle.finish(LIMIT).await).contains("stores events has failed"));
        let mut heard = Vec::new();
        let mut words = [0; 64];
        while let Ok(length) = ear.recv(&mut words) {
            heard.push(String::from_utf8_lossy(&words[..length]).into_owned());
        }
        assert_eq!(heard, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_essential_task_may_end_as_soon_as_what_it_serves_is_gone() {
        let mut lifecycle = Lifecycle::new();
        let (needed, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        lifecycle.spawn_essential("looks up", async move { assert_eq!(gone.recv().await, None) });
        let (stop, stopping) = (lifecycle.stop.clone(), lifecycle.stopping());
        let serving = async {
            stop.cancel();
            stopping.await;
            drop(needed);
            // The last answers take their time.
            sleep(LIMIT).await;
        };
        lifecycle.serve(serving).await;
        assert!(lifecycle.finish(LIMIT).await.expect("nothing failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_may_end_does() {
        let mut lifecycle = Lifecycle::new();
        lifecycle.spawn_passing("connects", async { Ok(()) });
        assert!(run(lifecycle).await.expect("nothing failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_gives_up_what_never_ends_and_waits_for_what_does() {
        let mut lifecycle = Lifecycle::new();
        let served = lifecycle.served();
        lifecycle.spawn_background("replays", pending());
        lifecycle.spawn_passing("connects", pending());
        lifecycle.spawn_essential("stores events", async {
            served.await;
            sleep(LIMIT / 2).await;
        });
        assert!(run(lifecycle).await.expect("nothing failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_nothing_longer_than_it_may() {
        let mut lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("stores events", pending());
        assert!(!run(lifecycle).await.expect("nothing failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_after_the_stop_is_told_too() {
        let mut lifecycle = Lifecycle::new();
        let served = lifecycle.served();
        lifecycle.spawn_essential("stores events", async {
            served.await;
            panic!("late");
        });
        assert!(told(run(lifecycle).await).contains("it panicked: late"));
    }
}
