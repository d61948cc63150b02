use std::sync::Mutex;

use super::*;
use crate::months_snapshot::MonthsSnapshot;
use crate::snapshot::DemoSnapshot;
use ebbtide_base::clock::SystemClock;

/// A screen that keeps everything that it was shown, and ends the demo after `end_at` boards.
struct RecordingScreen {
    shown: Mutex<Vec<DemoSnapshot>>,
    snapshots: Mutex<Vec<MonthsSnapshot>>,
    end_at: usize,
}

impl Screen for RecordingScreen {
    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn show(&mut self, board: &DemoSnapshot) -> std::io::Result<bool> {
        let mut shown = self.shown.lock().unwrap();
        shown.push(board.clone());
        Ok(shown.len() >= self.end_at)
    }

    fn pass(&mut self, snapshot: &MonthsSnapshot) -> std::io::Result<bool> {
        self.snapshots.lock().unwrap().push(snapshot.clone());
        Ok(false)
    }

    fn tell(&mut self, _: &str) -> std::io::Result<()> {
        Ok(())
    }
}

async fn demo(seconds: u64, end_at: usize) -> (DemoReport, RecordingScreen, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pace = TrafficRate {
        rate: 300,
        length: Duration::from_secs(seconds),
    };
    let options = DemoOptions {
        pace,
        months: Duration::from_secs(2),
        folder: folder.path().to_owned(),
        seed: 1,
    };
    let (_keep, stop) = watch::channel(false);
    let mut screen = RecordingScreen {
        shown: Mutex::default(),
        snapshots: Mutex::default(),
        end_at,
    };
    let summary = run(options, Arc::new(SystemClock::new()), &mut screen, stop)
        .await
        .unwrap();
    (summary, screen, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_accounts_for_every_record_and_leaves_nothing_that_is_due() {
    let (summary, screen, folder) = demo(8, usize::MAX).await;
    let (boards, snapshots) = (
        screen.shown.into_inner().unwrap(),
        screen.snapshots.into_inner().unwrap(),
    );
    assert!(summary.holds(), "{}", summary.text());
    let sent: u64 = summary.products.iter().map(|outcome| outcome.sent).sum();
    assert!(sent > 1_000, "{sent}");
    let last = boards.last().unwrap();
    assert_eq!(last.stage, DemoPhase::Finishing);
    assert!(last.sum(|product| product.stored) > 1_000);
    let totals: Vec<_> = summary
        .products
        .iter()
        .map(|outcome| outcome.audit.totals.unwrap_or_default())
        .collect();
    assert!(
        totals.iter().map(|totals| totals.dead_letters).sum::<u64>() < sent / 50,
        "{}",
        summary.text()
    );
    assert!(
        totals.iter().all(|totals| totals.stored > 0),
        "{}",
        summary.text()
    );
    let passed = summary.passed.as_ref().unwrap();
    assert!(
        passed.values > 30 && passed.residue.files > 20,
        "{passed:?}"
    );
    // In the demo's time too, all data was deleted within the grace period, except for the data
    // that a hold kept.
    assert!(
        snapshots.iter().all(|snapshot| snapshot.overdue == 0),
        "{}",
        summary.text()
    );
    let last = snapshots.last().unwrap();
    assert!(
        last.sum(|line| line.deleted) > 1_000 && last.sum(|line| line.held) == 0,
        "{last:?}"
    );
    assert!(folder.path().join("data/tables/sms/_delta_log").is_dir());
    for text in [
        "delta_scan('",
        "ebbtide residue --values",
        "Held and released",
        "contract",
    ] {
        assert!(
            summary.text().contains(text),
            "{text:?} is missing in\n{}",
            summary.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_ended_early_still_accounts_for_what_it_sent() {
    let (summary, screen, _folder) = demo(600, 12).await;
    assert!(summary.holds(), "{}", summary.text());
    assert!(screen.shown.into_inner().unwrap().len() >= 12 && summary.passed.is_none());
}
