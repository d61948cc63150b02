//! Draws the demo's board in a terminal. It makes no decisions: it turns a board into a frame.

mod months;

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Table};

use super::snapshot::{DemoPhase, DemoSnapshot, ProductStatus};
use super::text::{bytes, count, time_of_day, when_due};

pub use months::draw_months;

/// Draws the board of `now` over the whole frame. `folder` is where the tables are stored.
pub fn draw(frame: &mut Frame<'_>, board: &DemoSnapshot, now: DateTime<Utc>, folder: &str) {
    let products = board.products.len() as u16;
    let [head, middle, below, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(products + 4),
        Constraint::Min(6),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [due, dead] =
        Layout::horizontal([Constraint::Length(77), Constraint::Min(20)]).areas(below);
    progress(frame, head, board);
    arrivals(frame, middle, board);
    deadlines(frame, due, board, now);
    dead_letters(frame, dead, board);
    frame.render_widget(
        Line::from(format!(" Tables: {folder}   q ends the demo early")).dim(),
        foot,
    );
}

fn progress(frame: &mut Frame<'_>, area: Rect, board: &DemoSnapshot) {
    let rate: f64 = board.products.iter().map(|product| product.rate).sum();
    let label = match board.stage {
        DemoPhase::Arriving => {
            format!(
                "{} records/s at {} of the day",
                count(rate as u64),
                time_of_day(board.hour)
            )
        }
        DemoPhase::Finishing => "committing the rest".to_owned(),
    };
    let part = board.elapsed.as_secs_f64() / board.length.as_secs_f64().max(1.0);
    let gauge = Gauge::default()
        .block(Block::bordered().title(" Ebbtide: a day of synthetic traffic "))
        .gauge_style(Style::new().fg(Color::Blue))
        .ratio(part.clamp(0.0, 1.0))
        .label(label);
    frame.render_widget(gauge, area);
}

/// Returns a cell with right-aligned text, for numbers.
fn number(text: String) -> Cell<'static> {
    Cell::from(Text::from(text).right_aligned())
}

fn arrivals(frame: &mut Frame<'_>, area: Rect, board: &DemoSnapshot) {
    let heads = [
        "Product", "arrive/s", "Stored", "Expired", "Dead", "Segments", "Size", "Buckets",
        "Profiles",
    ];
    let head = heads.into_iter().enumerate().map(|(place, name)| {
        if place == 0 {
            Cell::from(name)
        } else {
            number(name.to_owned())
        }
    });
    let tables: Vec<_> = board
        .products
        .iter()
        .filter_map(|product| product.table.as_ref())
        .collect();
    let sum = Row::new([
        Cell::from("all"),
        number(count(
            board
                .products
                .iter()
                .map(|product| product.rate)
                .sum::<f64>() as u64,
        )),
        number(count(board.sum(|product| product.stored))),
        number(count(board.sum(|product| product.expired))),
        number(count(board.sum(|product| product.dead))),
        number(count(
            tables.iter().map(|table| table.overview.segments).sum(),
        )),
        number(bytes(tables.iter().map(|table| table.overview.bytes).sum())),
    ]);
    let rows = board.products.iter().map(row).chain([sum.bold()]);
    let widths = [14, 9, 10, 8, 6, 9, 11, 8, 9].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(Row::new(head).dim())
        .block(Block::bordered().title(" What arrives, and where it is stored "));
    frame.render_widget(table, area);
}

fn row(product: &ProductStatus) -> Row<'static> {
    let mut cells = vec![
        Cell::from(product.product.to_string()),
        number(count(product.rate as u64)),
        number(count(product.stored)),
        number(count(product.expired)),
        number(count(product.dead)),
    ];
    if let Some(table) = &product.table {
        cells.extend([
            number(count(table.overview.segments)),
            number(bytes(table.overview.bytes)),
            number(count(table.buckets as u64)),
            number(count(table.profiles as u64)),
        ]);
    }
    Row::new(cells)
}

fn deadlines(frame: &mut Frame<'_>, area: Rect, board: &DemoSnapshot, now: DateTime<Utc>) {
    let heads = ["in 30 days", "later", "open"].map(|name| number(name.to_owned()));
    let head = Row::new(
        [Cell::from("Category"), Cell::from("Next due")]
            .into_iter()
            .chain(heads),
    )
    .dim();
    let rows = board.due.iter().map(|due| {
        Row::new([
            Cell::from(due.category.to_string()),
            Cell::from(when_due(due, now)),
            number(count(due.within_a_month)),
            number(count(due.later)),
            number(count(due.open)),
        ])
    });
    let widths = [15, 28, 10, 9, 9].map(Constraint::Length);
    let title = " When it is due: records by category ";
    frame.render_widget(
        Table::new(rows, widths)
            .header(head)
            .block(Block::bordered().title(title)),
        area,
    );
}

fn dead_letters(frame: &mut Frame<'_>, area: Rect, board: &DemoSnapshot) {
    let lines: Vec<Line<'_>> = board
        .dead
        .iter()
        .map(|(code, letters)| Line::from(format!("{letters:>4} {code}")))
        .collect();
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" Dead letters ")),
        area,
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::snapshot::{CategoryDeadlines, TableStatus};
    use crate::text::line;
    use ebbtide_base::ids::{Category, Deadline, ProductKey};
    use ebbtide_query::TableOverview;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn board() -> DemoSnapshot {
        let sms = ProductKey::new("sms").unwrap();
        let overview = TableOverview {
            product: sms.clone(),
            version: 7,
            records: 41_200,
            segments: 96,
            bytes: 4_404_019,
            controls: 0,
            deadlines: Vec::new(),
            partitions: Vec::new(),
        };
        let table = Some(TableStatus {
            overview,
            buckets: 12,
            profiles: 9,
        });
        let due = |category: &str, next: Option<&str>| CategoryDeadlines {
            category: Category::new(category).unwrap(),
            next: next.map(|text| Deadline(at(text))),
            within_a_month: 3,
            later: 41_197,
            open: 0,
        };
        DemoSnapshot {
            stage: DemoPhase::Arriving,
            elapsed: Duration::from_secs(75),
            length: Duration::from_secs(100),
            hour: 13.5,
            products: vec![ProductStatus {
                product: sms,
                sent: 41_300,
                rate: 1_904.4,
                stored: 41_200,
                expired: 1,
                dead: 14,
                table,
            }],
            dead: vec![("bad_magic", 9), ("truncated", 5)],
            due: vec![
                due("content", Some("2027-05-23T22:00:00Z")),
                due("name", None),
            ],
            buffered: 1,
        }
    }

    #[test]
    fn the_picture_shows_what_arrives_where_it_is_stored_and_when_it_is_due() {
        let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
        terminal
            .draw(|frame| draw(frame, &board(), at("2026-11-24T12:00:00Z"), "/tmp/demo"))
            .unwrap();
        let picture = terminal.backend().to_string();
        for text in [
            "1,904 records/s at 13:30 of the day",
            "41,200",
            "4.2 MiB",
            "content",
            "2027-05-23, in 180 days",
            "when the contract ends",
            "9 bad_magic",
            "/tmp/demo",
        ] {
            assert!(picture.contains(text), "{text:?} is missing in\n{picture}");
        }
    }

    #[test]
    fn a_terminal_that_is_far_too_small_is_no_trouble() {
        let mut terminal = Terminal::new(TestBackend::new(10, 3)).unwrap();
        terminal
            .draw(|frame| draw(frame, &board(), at("2026-11-24T12:00:00Z"), "/tmp/demo"))
            .unwrap();
    }

    #[test]
    fn a_pipe_gets_the_same_in_a_line() {
        assert_eq!(
            line(&board(), at("2026-11-24T12:00:00Z")),
            "01:15  arriving 1,904/s (it is 13:30)  stored 41,200  dead letters 14  in 1 tables, 96 segments, 4.2 MiB  \
             next due: content 2027-05-23, in 180 days"
        );
    }
}
