//! Writes log lines off the answering path. Lines that nobody takes are dropped and counted, and never keep the program
//! from working or from ending.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes of lines may wait to be written.
const MAX_WAITING: usize = 1 << 20;

/// How long the end of the program waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The pause before an output is tried again that takes nothing now and was set not to wait.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// How many lines were dropped since the start, of all writers: the program has one.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped since the start.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Takes lines; each write is one.
#[derive(Clone)]
pub(crate) struct LineWriter(Arc<Queue>);

/// Waits, when dropped, until the last lines are written, but not long.
pub(crate) struct Written {
    queue: Arc<Queue>,
    patience: Duration,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The lines that wait.
    lines: Vec<u8>,
    /// How many were dropped and not told of yet.
    dropped: usize,
    /// Whether no more lines will come.
    ending: bool,
    /// Whether everything was written.
    ended: bool,
}

/// Starts writing lines to a file. Once it is over that lines were dropped, `tell` is called with their number.
pub(crate) fn start(output: File, tell: impl Fn(usize) + Send + 'static) -> io::Result<(LineWriter, Written)> {
    let queue = Arc::<Queue>::default();
    let writing = Arc::clone(&queue);
    thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_to(output, tell))?;
    Ok((LineWriter(Arc::clone(&queue)), Written { queue, patience: LAST_LINES }))
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.lines.len() + line.len() > MAX_WAITING {
            state.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        drop(state);
        self.changed.notify_all();
    }

    /// Writes all that waits at once, again and again, until the end.
    fn write_to(&self, mut output: File, tell: impl Fn(usize)) {
        let mut piece = Vec::new();
        while self.wait_for_lines(&mut piece) {
            let lost = write(&mut output, &piece).map_or_else(lines, |()| 0);
            piece.clear();
            let mut state = self.state();
            state.dropped += lost;
            DROPPED.fetch_add(lost as u64, Ordering::Relaxed);
            // Lines that come faster than they are taken are told of when that is over.
            if lost == 0 && state.dropped > 0 && state.lines.len() < MAX_WAITING / 2 {
                let dropped = std::mem::take(&mut state.dropped);
                drop(state);
                tell(dropped);
            }
        }
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Takes the lines that wait; false at the end.
    fn wait_for_lines(&self, piece: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        self.changed.wait_while(&mut state, |state| state.lines.is_empty() && !state.ending);
        std::mem::swap(piece, &mut state.lines);
        !piece.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Writes everything, or gives the rest that could not be written.
fn write<'a>(output: &mut impl Write, mut rest: &'a [u8]) -> Result<(), &'a [u8]> {
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return Err(rest),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => return Err(rest),
        }
    }
    Ok(())
}

fn lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count() - 1
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.ending = true;
        self.queue.changed.notify_all();
        // What is not written by then has nobody to read it.
        let _ = self.queue.changed.wait_while_for(&mut state, |state| !state.ended, self.patience);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, sync::mpsc, time::Instant};

    use super::*;

    /// However busy the machine is.
    const LONG: Duration = Duration::from_mins(2);

    fn pipe() -> (io::PipeReader, File) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, File::from(std::os::fd::OwnedFd::from(writer)))
    }

    #[test]
    fn lines_are_written_in_their_order_to_the_last() {
        let (mut reader, output) = pipe();
        let (mut lines, mut written) = start(output, |_| ()).unwrap();
        written.patience = LONG;
        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        let expected: String = (0..1_000).map(|number| ["line ", &number.to_string(), "\n"].concat()).collect();
        for line in expected.split_inclusive('\n') {
            lines.write_all(line.as_bytes()).unwrap();
        }
        drop(written);
        assert_eq!(reading.join().unwrap(), expected);
    }

    #[test]
    fn an_output_that_nobody_reads_makes_nobody_wait_and_what_is_dropped_is_told_once_it_is_over() {
        let (mut reader, output) = pipe();
        let (told, telling) = mpsc::channel();
        let (lines, mut written) = start(output, move |dropped| told.send(dropped).unwrap()).unwrap();
        written.patience = LONG;
        let line = format!("{}\n", "x".repeat(1_023));
        let sent = 4 * MAX_WAITING / line.len();
        for _ in 0..sent {
            lines.0.push(line.as_bytes());
        }
        let dropped = lines.0.state().dropped;
        assert!(dropped > sent / 4, "{dropped} of {sent}");
        assert!(telling.try_recv().is_err(), "it is not over");

        let reading = thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            text
        });
        drop(written);
        let taken = reading.join().unwrap();
        assert_eq!(taken.len(), (sent - dropped) * line.len());
        assert_eq!(telling.iter().collect::<Vec<_>>(), [dropped], "once");
    }

    #[test]
    fn an_output_that_nobody_reads_holds_no_end_up() {
        let (_reader, output) = pipe();
        let (lines, written) = start(output, |_| ()).unwrap();
        lines.0.push(&vec![b'x'; MAX_WAITING]);
        let began = Instant::now();
        drop(written);
        assert!(began.elapsed() >= LAST_LINES, "it waited for a reader");
    }

    #[test]
    fn an_output_that_is_gone_takes_nothing_and_does_no_harm() {
        let (reader, output) = pipe();
        drop(reader);
        let (lines, mut written) = start(output, |_| ()).unwrap();
        written.patience = LONG;
        lines.0.push(b"one\ntwo\n");
        drop(written);
        assert_eq!(lines.0.state().dropped, 2);
        assert!(lines.0.state().ended);
    }
}
