//! A server that may be killed at any moment.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_application::recording::{AskForIndex, Recorded, Recorder, RecorderOptions};
use staticreg_domain::{Clock, Digest, RepositoryName, counting::Classified};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    Setting,
    clients::{IMAGES, children, digest},
    store::Store,
};

/// The time that passes in the simulation.
pub(crate) struct SimulatedClock {
    pub(crate) start: DateTime<Utc>,
    pub(crate) began: Instant,
}

impl Clock for SimulatedClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.began.elapsed()).unwrap_or_default()
    }
}

pub(crate) struct Server {
    recorder: Recorder,
    writer: AbortHandle,
    /// What goes on in it beside; it ends with the server.
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts with nothing but what the store holds.
    pub(crate) fn start(store: &Store, clock: &Arc<dyn Clock>, Setting { asks, remembered, .. }: Setting) -> Self {
        let options = RecorderOptions {
            batch_size: 8,
            buffer_size: 1_000,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        };
        let (asked, mut questions) = mpsc::unbounded_channel();
        let ask: AskForIndex = Box::new(move |_: &RepositoryName, index: &Digest| {
            let _ = asked.send(index.clone());
        });
        let ask = asks.then_some(ask);
        let (recorder, writer) = Recorder::new(
            Arc::new(store.clone()),
            Box::new(Classified::new(remembered)),
            ask,
            None,
            Arc::clone(clock),
            options,
        );
        let mut tasks = JoinSet::new();
        let writer = tasks.spawn(writer.run());
        let learning = recorder.clone();
        tasks.spawn(async move {
            while let Some(index) = questions.recv().await {
                let image = (0..IMAGES).find(|image| digest("index", *image) == index).expect("an index");
                while learning.learn(index.clone(), children(image)).await != Ok(Recorded::Learned) {
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
            }
        });
        Self { recorder, writer, _tasks: tasks }
    }

    pub(crate) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Whatever it is doing, it does no more.
    pub(crate) fn kill(self) {
        self.writer.abort();
    }
}
