use std::sync::Mutex;

use super::*;
use crate::clock::SystemClock;

/// A screen that keeps what it was shown, and ends the demo where it is told to.
struct Kept {
    shown: Mutex<Vec<Board>>,
    end_at: usize,
}

impl Screen for Kept {
    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn show(&mut self, board: &Board) -> std::io::Result<bool> {
        let mut shown = self.shown.lock().unwrap();
        shown.push(board.clone());
        Ok(shown.len() >= self.end_at)
    }
}

async fn demo(seconds: u64, end_at: usize) -> (Summary, Vec<Board>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pace = Pace { rate: 300, length: Duration::from_secs(seconds) };
    let options = Options { pace, folder: folder.path().to_owned(), seed: 1 };
    let (_keep, stop) = watch::channel(false);
    let mut screen = Kept { shown: Mutex::default(), end_at };
    let summary = run(options, Arc::new(SystemClock::new()), &mut screen, stop).await.unwrap();
    (summary, screen.shown.into_inner().unwrap(), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_accounts_for_every_record_that_it_sent() {
    let (summary, boards, folder) = demo(8, usize::MAX).await;
    assert!(summary.holds(), "{}", summary.text());
    let sent: u64 = summary.products.iter().map(|outcome| outcome.sent).sum();
    assert!(sent > 1_000, "{sent}");
    let last = boards.last().unwrap();
    assert_eq!(last.stage, Stage::Finishing);
    assert!(last.sum(|product| product.stored) > 1_000);
    let totals: Vec<_> = summary.products.iter().map(|outcome| outcome.audit.totals.unwrap_or_default()).collect();
    assert!(totals.iter().map(|totals| totals.dead_letters).sum::<u64>() < sent / 50, "{}", summary.text());
    assert!(totals.iter().all(|totals| totals.stored > 0), "{}", summary.text());
    assert!(folder.path().join("tables/sms/_delta_log").is_dir());
    assert!(summary.text().contains("delta_scan('"), "{}", summary.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_ended_early_still_accounts_for_what_it_sent() {
    let (summary, boards, _folder) = demo(600, 12).await;
    assert!(summary.holds(), "{}", summary.text());
    assert!(boards.len() >= 12);
}
