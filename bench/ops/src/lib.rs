//! Load and crashes for a real `farthing-mint`: a process of its own on a temporary directory, spoken to over HTTP.

pub mod client;
pub mod http;
pub mod mint;
pub mod postgres;
pub mod reader;

/// What went wrong, for whoever started the tool.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Does a job on each item, on as many threads as there are cores; the results stand in the items' order.
///
/// # Errors
/// The first of the jobs' errors.
pub fn spread<T: Send, R: Send>(items: Vec<T>, job: impl Fn(T) -> Result<R, Fault> + Sync) -> Result<Vec<R>, Fault> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = items.len().div_ceil(cores).max(1);
    let mut items = items.into_iter();
    std::thread::scope(|scope| {
        let job = &job;
        let mut threads = Vec::new();
        loop {
            let part: Vec<T> = items.by_ref().take(share).collect();
            if part.is_empty() {
                break;
            }
            threads.push(scope.spawn(move || part.into_iter().map(job).collect::<Result<Vec<R>, Fault>>()));
        }
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(all)
    })
}
