//! `kennel top`.

use std::time::Duration;

use kennel_client::Daemon;
use kennel_tui::{Detail, Look, Options, Order, Words};
use kennel_wire::{ActionReport, Alert, Event, FreezeReport, OutcomeKind, Receipt, SignalReport, UpReport};
use tokio::sync::mpsc::unbounded_channel;

use crate::args::{Top, TopOrder};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::paint::{self, Paint};
use crate::render::{alerts, event, limits, log_line, names, outcome, ps, receipt};

/// Between two looks where nobody says it.
pub(super) const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn top(context: &mut Context, args: Top) -> Result<u8, Failure> {
    let daemon = context.running().await?;
    let declared = daemon.services().await?;
    let mut known: Vec<String> = declared.into_iter().map(|one| one.service).collect();
    known.dedup();
    names::check(&args.names, &known).map_err(kennel_client::CallError::from)?;
    let options = Options {
        instance: daemon.known().instance.clone(),
        services: args.names.clone(),
        every: args.every.unwrap_or(EVERY),
        order: order(args.sort),
        color: context.screen.paint.color,
        holds: false,
    };
    let pictures = match args.number {
        Some(number) => Some(number),
        None if args.once || context.global.json || !context.screen.interactive() => Some(1),
        None => None,
    };
    match pictures {
        Some(number) => print(context, daemon, &options, number).await?,
        None => {
            let (_nobody, notices) = unbounded_channel();
            kennel_tui::live(daemon, options, WORDS, notices).await?;
        }
    }
    Ok(exit_codes::OK)
}

/// Prints pictures as text, or what they are made of.
async fn print(context: &mut Context, daemon: Daemon, options: &Options, number: u64) -> Result<(), Failure> {
    let mut look = Look::ask(&daemon, &options.services, Detail::Zombies).await?;
    // CPU and rates are over a time, which begins with the first look.
    if look.usage.services.iter().any(|one| one.usage.cpu_percent.is_none()) {
        tokio::time::sleep(options.every).await;
        look = Look::ask(&daemon, &options.services, Detail::Zombies).await?;
    }
    for at in 0..number {
        if at > 0 {
            tokio::time::sleep(options.every).await;
            look = Look::ask(&daemon, &options.services, Detail::Zombies).await?;
        }
        let screen = &mut context.screen;
        match (context.global.json, number) {
            (true, 1) => screen.json(&look.usage)?,
            (true, _) => screen.json_lines(std::slice::from_ref(&look.usage))?,
            (false, _) => {
                let width = screen.width().and_then(|width| u16::try_from(width).ok());
                let picture = kennel_tui::text(look.clone(), options, WORDS, width);
                let blank = if at > 0 { "\n" } else { "" };
                screen.out(&format!("{blank}{picture}"))?;
            }
        }
    }
    Ok(())
}

fn order(order: TopOrder) -> Order {
    match order {
        TopOrder::Declared => Order::Declared,
        TopOrder::Cpu => Order::Cpu,
        TopOrder::Memory => Order::Memory,
        TopOrder::Io => Order::Io,
        TopOrder::Threads => Order::Threads,
        TopOrder::Name => Order::Name,
    }
}

/// The words of all other commands.
pub(super) const WORDS: Words = Words {
    note: ps::note,
    event: happened,
    color,
    limit: limits::one,
    alert,
    started,
    ended,
    frozen,
    signalled,
    receipt: receipt_lines,
    tame: log_line::tame,
};

fn alert(alert: &Alert) -> String {
    alerts::line(alert)
}

fn happened(event: &Event) -> String {
    event::words(event).0
}

fn started(report: &UpReport, name: &str) -> String {
    let failed = report.services.iter().find(|one| matches!(one.kind, OutcomeKind::Failed { .. }));
    let chosen = report.services.iter().find(|one| one.service == name);
    let told = failed.or(chosen).or(report.services.last());
    told.map(|one| first_line(&outcome::table(std::slice::from_ref(one), PLAIN))).unwrap_or_default()
}

fn ended(report: &ActionReport) -> String {
    let ended = receipt::summary(&report.receipts, false, PLAIN);
    let started = outcome::table(&report.started, PLAIN);
    let lines = [ended, started].map(|text| first_line(&text));
    let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "done, nothing had to be stopped".to_owned() } else { lines.join("; ") }
}

fn frozen(report: &FreezeReport) -> String {
    first_line(&outcome::frozen(report, PLAIN))
}

fn signalled(report: &SignalReport) -> String {
    first_line(&outcome::signalled(report, PLAIN))
}

fn receipt_lines(receipt: &Receipt) -> Vec<String> {
    let stages = receipt::stages(receipt);
    let text = receipt::summary(std::slice::from_ref(receipt), true, PLAIN);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.splice(1..1, stages);
    lines
}

const PLAIN: Paint = Paint { color: false };

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// As names have it before their log lines.
fn color(service: &str, declared: Option<&str>) -> kennel_tui::Color {
    use anstyle::AnsiColor as From;
    use kennel_tui::Color as To;
    match paint::of_service(service, declared).get_fg_color() {
        None => To::Reset,
        Some(anstyle::Color::Rgb(rgb)) => To::Rgb(rgb.0, rgb.1, rgb.2),
        Some(anstyle::Color::Ansi256(index)) => To::Indexed(index.0),
        Some(anstyle::Color::Ansi(color)) => match color {
            From::Black => To::Black,
            From::Red => To::Red,
            From::Green => To::Green,
            From::Yellow => To::Yellow,
            From::Blue => To::Blue,
            From::Magenta => To::Magenta,
            From::Cyan => To::Cyan,
            From::White => To::Gray,
            From::BrightBlack => To::DarkGray,
            From::BrightRed => To::LightRed,
            From::BrightGreen => To::LightGreen,
            From::BrightYellow => To::LightYellow,
            From::BrightBlue => To::LightBlue,
            From::BrightMagenta => To::LightMagenta,
            From::BrightCyan => To::LightCyan,
            From::BrightWhite => To::White,
        },
    }
}
