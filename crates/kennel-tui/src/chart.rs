//! Values over time as bars of blocks.

/// Eighths of a cell.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The youngest `width` values, the last at the right, as rows from the top; each of `width` columns.
///
/// The full height is `top`. Whatever is above nothing is at least one eighth high.
pub(crate) fn bars(values: &[f64], width: usize, height: usize, top: f64) -> Vec<String> {
    let shown = &values[values.len().saturating_sub(width)..];
    let eighths: Vec<usize> = shown.iter().map(|value| level(*value, height * 8, top)).collect();
    let row = |row: usize| {
        let below = (height - 1 - row) * 8;
        let bars = eighths.iter().map(|level| BLOCKS[level.saturating_sub(below).min(8)]);
        std::iter::repeat_n(' ', width - shown.len()).chain(bars).collect()
    };
    (0..height).map(row).collect()
}

/// The height of one value in steps of `steps` for `top`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to steps")]
fn level(value: f64, steps: usize, top: f64) -> usize {
    if value <= 0.0 || top <= 0.0 || steps == 0 || !value.is_finite() {
        return 0;
    }
    ((value / top * steps as f64).round() as usize).clamp(1, steps)
}

/// A height at which `values` fit, at least `least`: twice as much until it is enough, so that it does not change all
/// the time.
pub(crate) fn scale(values: &[f64], least: f64) -> f64 {
    let most = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let mut top = least;
    while top < most {
        top *= 2.0;
    }
    top
}

/// How many of `width` columns a part takes: none for nothing, at least one for anything.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to width")]
pub(crate) fn share(part: f64, whole: f64, width: usize) -> usize {
    if part <= 0.0 || whole <= 0.0 || !part.is_finite() {
        return 0;
    }
    ((part / whole * width as f64).round() as usize).clamp(1, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_height_of_their_values() {
        assert_eq!(bars(&[0.0, 0.1, 50.0, 100.0, 400.0], 7, 1, 100.0), ["   ▁▄██"]);
        assert_eq!(bars(&[9.0, 0.0, 25.0, 100.0], 3, 2, 100.0), ["  █", " ▄█"]);
        assert_eq!(bars(&[f64::NAN], 2, 1, 1.0), ["  "]);
        assert!(bars(&[1.0], 3, 0, 1.0).is_empty());
    }

    #[test]
    fn the_scale_moves_in_steps() {
        assert_eq!(
            [&[][..], &[99.0], &[101.0], &[350.0]].map(|values| scale(values, 100.0)),
            [100.0, 100.0, 200.0, 400.0]
        );
    }

    #[test]
    fn a_part_is_seen_and_fits() {
        assert_eq!([0.0, 0.001, 0.5, 1.0, 7.0].map(|part| share(part, 1.0, 10)), [0, 1, 5, 10, 10]);
        assert_eq!(share(1.0, 0.0, 10), 0);
    }
}
