//! Draws the passing months in a terminal. It makes no decisions: it turns a moment into a frame.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Table};

use super::number;
use crate::months_snapshot::{MonthsSnapshot, day};
use crate::text::{bytes, count, deadline};

/// Draws a moment over the whole frame. `folder` is where the tables are stored.
pub fn draw_months(frame: &mut Frame<'_>, snapshot: &MonthsSnapshot, folder: &str) {
    let [head, middle, below, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(snapshot.fields.len().max(snapshot.tables.len()) as u16 + 4),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [fields, tables] =
        Layout::horizontal([Constraint::Length(80), Constraint::Min(20)]).areas(middle);
    progress(frame, head, snapshot);
    by_category(frame, fields, snapshot);
    by_table(frame, tables, snapshot);
    let room = usize::from(below.height.saturating_sub(2));
    let newest = snapshot
        .events
        .iter()
        .skip(snapshot.events.len().saturating_sub(room));
    let lines: Vec<Line<'_>> = newest.map(|event| Line::from(event.as_str())).collect();
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" What happened ")),
        below,
    );
    frame.render_widget(
        Line::from(format!(" Tables: {folder}   q ends the demo early")).dim(),
        foot,
    );
}

fn progress(frame: &mut Frame<'_>, area: Rect, snapshot: &MonthsSnapshot) {
    let whole = (snapshot.end - snapshot.start).num_seconds().max(1) as f64;
    let part = (snapshot.now - snapshot.start).num_seconds() as f64 / whole;
    let colour = if snapshot.overdue == 0 {
        Color::Green
    } else {
        Color::Red
    };
    let label = format!(
        "{}   overdue fields: {}",
        day(snapshot.now),
        count(snapshot.overdue)
    );
    let gauge = Gauge::default()
        .block(Block::bordered().title(" Ebbtide: two years in seconds, expired data is deleted "))
        .gauge_style(Style::new().fg(colour))
        .ratio(part.clamp(0.0, 1.0))
        .label(label);
    frame.render_widget(gauge, area);
}

fn by_category(frame: &mut Frame<'_>, area: Rect, snapshot: &MonthsSnapshot) {
    let heads = ["left", "deleted", "held"].map(|name| number(name.to_owned()));
    let head = Row::new(
        [Cell::from("Category"), Cell::from("Next due")]
            .into_iter()
            .chain(heads),
    )
    .dim();
    let rows = snapshot.fields.iter().map(|line| {
        let next = match line.next {
            Some(next) => deadline(next, snapshot.now),
            None if line.open > 0 => "when the contract ends".to_owned(),
            None if line.held > 0 => "when it is released".to_owned(),
            None => "nothing is left".to_owned(),
        };
        let row = Row::new([
            Cell::from(line.category.to_string()),
            Cell::from(next),
            number(count(line.left)),
            number(count(line.deleted)),
            number(count(line.held)),
        ]);
        if line.left == 0 { row.dim() } else { row }
    });
    let sum = Row::new([
        Cell::from("all"),
        Cell::from(""),
        number(count(snapshot.sum(|line| line.left))),
        number(count(snapshot.sum(|line| line.deleted))),
        number(count(snapshot.sum(|line| line.held))),
    ]);
    let widths = [15, 28, 10, 10, 8].map(Constraint::Length);
    let table = Table::new(rows.chain([sum.bold()]), widths)
        .header(head)
        .block(Block::bordered().title(" Fields by category "));
    frame.render_widget(table, area);
}

fn by_table(frame: &mut Frame<'_>, area: Rect, snapshot: &MonthsSnapshot) {
    let heads = ["records", "cells", "of", "size"].map(|name| number(name.to_owned()));
    let head = Row::new([Cell::from("Table")].into_iter().chain(heads)).dim();
    let rows = snapshot.tables.iter().map(|(product, rows)| {
        Row::new([
            Cell::from(product.to_string()),
            number(count(rows.records)),
            number(count(rows.cells)),
            number(count(rows.in_cells)),
            number(bytes(rows.bytes)),
        ])
    });
    let sum = Row::new([
        Cell::from("all"),
        number(count(snapshot.rows(|rows| rows.records))),
        number(count(snapshot.rows(|rows| rows.cells))),
        number(count(snapshot.rows(|rows| rows.in_cells))),
        number(bytes(snapshot.rows(|rows| rows.bytes))),
    ]);
    let widths = [14, 9, 7, 9, 11].map(Constraint::Length);
    let table = Table::new(rows.chain([sum.bold()]), widths)
        .header(head)
        .block(Block::bordered().title(" Records, and the cells that are left of them "));
    frame.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::months_snapshot::tests::months;

    #[test]
    fn picture_shows_fields_left_deleted_and_held_and_the_events() {
        let mut terminal = Terminal::new(TestBackend::new(140, 20)).unwrap();
        terminal
            .draw(|frame| draw_months(frame, &months(), "/tmp/demo"))
            .unwrap();
        let picture = terminal.backend().to_string();
        for text in [
            "2027-05-24   overdue fields: 0",
            "content",
            "2028-11-24, in 549 days",
            "what happened",
            "/tmp/demo",
        ] {
            assert!(picture.contains(text), "{text:?} is missing in\n{picture}");
        }
    }

    #[test]
    fn a_terminal_that_is_far_too_small_is_no_trouble() {
        let mut terminal = Terminal::new(TestBackend::new(10, 3)).unwrap();
        terminal
            .draw(|frame| draw_months(frame, &months(), "/tmp/demo"))
            .unwrap();
    }
}
