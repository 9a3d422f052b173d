//! rayon, asked for figures: a line `NAME NUMBER` in, one number out, microseconds a job.
use rayon::prelude::*;
use std::io::BufRead;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

#[inline(never)]
fn work(number: usize) -> usize {
    std::hint::black_box(number.wrapping_add(1))
}

/// A job gives its result through a channel of its own: what a future would be.
fn flood(pool: &rayon::ThreadPool, count: usize) -> f64 {
    let begin = Instant::now();
    let results: Vec<_> = (0..count)
        .map(|number| {
            let (sender, receiver) = sync_channel(1);
            pool.spawn(move || sender.send(work(number)).unwrap());
            receiver
        })
        .collect();
    let sum: usize = results.iter().map(|receiver| receiver.recv().unwrap()).sum();
    assert_eq!(sum, count * (count + 1) / 2);
    begin.elapsed().as_secs_f64() / count as f64 * 1e6
}

fn rounds(pool: &rayon::ThreadPool, count: usize, quiet: u64) -> f64 {
    let mut times: Vec<f64> = (0..count)
        .map(|number| {
            if quiet > 0 {
                std::thread::sleep(Duration::from_millis(quiet));
            }
            let begin = Instant::now();
            pool.install(|| work(number));
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    if quiet > 0 { times[count / 2] } else { times.iter().sum::<f64>() / count as f64 }
}

fn map(pool: &rayon::ThreadPool, count: usize) -> f64 {
    let begin = Instant::now();
    let sum: usize = pool.install(|| (0..count).into_par_iter().map(work).sum());
    assert_eq!(sum, count * (count + 1) / 2);
    begin.elapsed().as_secs_f64() / count as f64 * 1e6
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or("");
        let count = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
        match name {
            "flood" => println!("{}", flood(&pool, count)),
            "single" => println!("{}", rounds(&pool, count, 0)),
            "quiet" => println!("{}", rounds(&pool, count, 10)),
            "map" => println!("{}", map(&pool, count)),
            _ => println!("error: no {} here", name),
        }
    }
}
