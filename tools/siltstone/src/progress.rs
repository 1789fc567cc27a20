//! Progress bars, on stderr and only if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

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
    styled(ProgressBar::new_spinner(), "{msg} {spinner} {human_pos} samples {per_sec}", what)
}

fn styled(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let bar = bar.with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
