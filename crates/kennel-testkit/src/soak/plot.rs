//! The looks as a picture: plain SVG, one curve a panel.

use std::fmt::Write;

use super::look::{Held, Look};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 120.0;
/// Beside and between the panels.
const GAP: f64 = 46.0;
const COLOURS: [&str; 2] = ["#b3541e", "#1e6fb3"];

/// What a panel shows.
type Figure = fn(&Held) -> f64;

/// Panels: memory of its own, all that is resident, descriptors, threads; daemon and keeper in each.
pub(super) fn svg(looks: &[Look]) -> String {
    let panels: [(&str, Figure); 4] = [
        ("own memory, MiB", |held| held.anonymous as f64 / 1024.0),
        ("resident, MiB", |held| held.resident as f64 / 1024.0),
        ("descriptors", |held| held.descriptors as f64),
        ("threads", |held| held.threads as f64),
    ];
    let (width, height) = (2.0 * WIDTH + 3.0 * GAP, 2.0 * HEIGHT + 3.0 * GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (place, (title, figure)) in panels.into_iter().enumerate() {
        let x = GAP + (place % 2) as f64 * (WIDTH + GAP);
        let y = GAP + (place / 2) as f64 * (HEIGHT + GAP);
        text += &panel(looks, title, figure, x, y);
    }
    for (place, (name, colour)) in ["daemon", "keeper"].into_iter().zip(COLOURS).enumerate() {
        let x = GAP + 70.0 * place as f64;
        // A string cannot refuse what is written to it.
        let _ = writeln!(text, "<text x=\"{x}\" y=\"16\" fill=\"{colour}\">{name}</text>");
    }
    text + "</svg>\n"
}

fn panel(looks: &[Look], title: &str, figure: Figure, x: f64, y: f64) -> String {
    let end = looks.last().map_or(1.0, |look| look.at);
    let most = looks.iter().flat_map(|look| look.held.iter().map(figure)).fold(1.0, f64::max) * 1.1;
    let minutes = end / 60.0;
    let mut text = format!(
        "<text x=\"{x}\" y=\"{}\">{title}</text>\n<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         fill=\"none\" stroke=\"#999\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.0}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">0</text>\n<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{minutes:.0} min</text>\n",
        y - 5.0,
        x - 4.0,
        y + 10.0,
        x - 4.0,
        y + HEIGHT,
        x + WIDTH,
        y + HEIGHT + 13.0,
    );
    for (of, colour) in COLOURS.into_iter().enumerate() {
        let points: Vec<String> = looks
            .iter()
            .filter_map(|look| {
                let value = figure(look.held.get(of)?);
                Some(format!("{:.1},{:.1}", x + WIDTH * look.at / end, y + HEIGHT * (1.0 - value / most)))
            })
            .collect();
        let points = points.join(" ");
        let _ = writeln!(text, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\"/>");
    }
    text
}
