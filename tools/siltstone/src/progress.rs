//! Progress bars, on stderr and only if that is a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::units;

/// A bar over bytes, or a spinner where the end is not known.
pub(crate) fn of_bytes(what: &str, total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => {
            let bar = ProgressBar::new(total);
            styled(bar, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}", what)
        }
        None => styled(ProgressBar::new_spinner(), "{msg} {spinner} {bytes} {bytes_per_sec}", what),
    }
}

/// A spinner that counts samples.
pub(crate) fn of_samples(what: &str) -> ProgressBar {
    styled(ProgressBar::new_spinner(), "{msg} {spinner} {human_pos} samples {rate}", what)
}

/// A bar over samples, with rate and time left.
pub(crate) fn of_samples_until(what: &str, total: u64) -> ProgressBar {
    let template = "{msg} {wide_bar} {human_pos}/{human_len} samples {rate} {eta}";
    styled(ProgressBar::new(total), template, what)
}

fn styled(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let bar = bar.with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style.with_key("rate", rate)),
        Err(_) => bar,
    }
}

/// Events a second, as a whole number.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let per_second = state.per_sec() as u64;
    // A bar that cannot be written is nobody's loss.
    let _ = write!(out, "{}/s", units::grouped(per_second));
}
