//! Escape sequences that stand for one character, inside and outside of classes.

use super::input::{Fault, Input};

const INVALID: &str = "invalid escape sequence";

/// Reads an escape sequence, which begins with `\`, and returns the number of its character: that of
/// a surrogate, too, which no text holds.
pub(super) fn read_escape(input: &mut Input<'_>) -> Result<u32, Fault> {
    let start = input.at();
    input.eat("\\");
    let Some(c) = input.next() else {
        return Err(input.fault(start, "trailing backslash at end of expression"));
    };
    let value = match c {
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        'x' => hexadecimal(input),
        '0' => Some(octal(input, 0)),
        // A single digit would refer to a group, which RE2 cannot.
        '1'..='7' if input.peek().is_some_and(|c| c.is_digit(8)) => {
            Some(octal(input, u32::from(c) - u32::from('0')))
        }
        _ => (c.is_ascii() && !c.is_ascii_alphanumeric()).then_some(u32::from(c)),
    };
    value.ok_or_else(|| input.fault(start, INVALID))
}

/// Up to two more octal digits after the first.
fn octal(input: &mut Input<'_>, first: u32) -> u32 {
    let mut value = first;
    for _ in 0..2 {
        let Some(digit) = input.peek().and_then(|c| c.to_digit(8)) else { break };
        input.next();
        value = value * 8 + digit;
    }
    value
}

/// Two digits, or any number of them in braces, up to the last character of Unicode.
fn hexadecimal(input: &mut Input<'_>) -> Option<u32> {
    if !input.eat("{") {
        let (first, second) = (input.next()?, input.next()?);
        return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
    }
    let mut value = 0;
    let mut digits = 0;
    loop {
        match input.next()? {
            '}' => return (digits > 0).then_some(value),
            c => value = value * 16 + c.to_digit(16)?,
        }
        digits += 1;
        if value > u32::from(char::MAX) {
            return None;
        }
    }
}
