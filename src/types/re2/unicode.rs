//! Unicode classes, `\pN` and `\p{Greek}`: general categories and scripts, by their names in Go.
//!
//! Prometheus' copy of Go's parser takes the names of Go's tables as they are written there: neither
//! aliases (`\p{Letter}`, `\p{Grek}`) nor other spellings (`\p{greek}`).

use std::sync::OnceLock;

use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::input::{Fault, Input};

/// The general categories of Go's package `unicode`.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Cn", "Co", "L", "LC", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn",
    "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm",
    "So", "Z", "Zl", "Zp", "Zs",
];

/// The scripts of Unicode 16, sorted.
const SCRIPTS: &[&str] = &[
    "Adlam",
    "Ahom",
    "Anatolian_Hieroglyphs",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Bassa_Vah",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Canadian_Aboriginal",
    "Carian",
    "Caucasian_Albanian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cypro_Minoan",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dives_Akuru",
    "Dogra",
    "Duployan",
    "Egyptian_Hieroglyphs",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Garay",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gunjala_Gondi",
    "Gurmukhi",
    "Gurung_Khema",
    "Han",
    "Hangul",
    "Hanifi_Rohingya",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Imperial_Aramaic",
    "Inherited",
    "Inscriptional_Pahlavi",
    "Inscriptional_Parthian",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kayah_Li",
    "Kharoshthi",
    "Khitan_Small_Script",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Kirat_Rai",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Linear_A",
    "Linear_B",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Masaram_Gondi",
    "Medefaidrin",
    "Meetei_Mayek",
    "Mende_Kikakui",
    "Meroitic_Cursive",
    "Meroitic_Hieroglyphs",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nag_Mundari",
    "Nandinagari",
    "New_Tai_Lue",
    "Newa",
    "Nko",
    "Nushu",
    "Nyiakeng_Puachue_Hmong",
    "Ogham",
    "Ol_Chiki",
    "Ol_Onal",
    "Old_Hungarian",
    "Old_Italic",
    "Old_North_Arabian",
    "Old_Permic",
    "Old_Persian",
    "Old_Sogdian",
    "Old_South_Arabian",
    "Old_Turkic",
    "Old_Uyghur",
    "Oriya",
    "Osage",
    "Osmanya",
    "Pahawh_Hmong",
    "Palmyrene",
    "Pau_Cin_Hau",
    "Phags_Pa",
    "Phoenician",
    "Psalter_Pahlavi",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "SignWriting",
    "Sinhala",
    "Sogdian",
    "Sora_Sompeng",
    "Soyombo",
    "Sundanese",
    "Sunuwar",
    "Syloti_Nagri",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Tai_Le",
    "Tai_Tham",
    "Tai_Viet",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Todhri",
    "Toto",
    "Tulu_Tigalari",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Warang_Citi",
    "Yezidi",
    "Yi",
    "Zanabazar_Square",
];

/// Reads `\pX`, `\p{Name}`, `\p{^Name}` and their opposites with `P`: the class, and whether the
/// opposite is meant; `None` if something else comes.
pub(super) fn read_class(input: &mut Input<'_>) -> Result<Option<(ClassUnicode, bool)>, Fault> {
    const INVALID: &str = "invalid character class range";
    let start = input.at();
    let negative = input.rest().starts_with("\\P");
    if !negative && !input.rest().starts_with("\\p") {
        return Ok(None);
    }
    input.take(2);
    let name = if input.peek() == Some('{') {
        let Some(end) = input.rest().find('}') else {
            return Err(input.fault_to_end(start, INVALID));
        };
        &input.take(end + 1)[1..end]
    } else {
        let bytes = input.peek().map_or(0, char::len_utf8);
        input.take(bytes)
    };
    let (name, inverted) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    match named(name) {
        Some(class) => Ok(Some((class, negative != inverted))),
        None => Err(input.fault(start, INVALID)),
    }
}

fn named(name: &str) -> Option<ClassUnicode> {
    match name {
        "Any" => Some(ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)])),
        // Surrogates: no text holds one.
        "Cs" => Some(ClassUnicode::empty()),
        _ if CATEGORIES.contains(&name) => property("gc", name),
        _ if SCRIPTS.binary_search(&name).is_ok() => property("sc", name),
        _ => None,
    }
}

/// The characters whose property has this value, from the tables of `regex_syntax`.
fn property(property: &str, value: &str) -> Option<ClassUnicode> {
    let start = ast::Position::new(0, 1, 1);
    let kind = ast::ClassUnicodeKind::NamedValue {
        op: ast::ClassUnicodeOpKind::Equal,
        name: property.to_owned(),
        value: value.to_owned(),
    };
    let span = ast::Span::new(start, start);
    let class = ast::ClassUnicode { span, negated: false, kind };
    let hir = Translator::new().translate("", &Ast::class_unicode(class)).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of one character.
        HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(ClassUnicode::new([ClassUnicodeRange::new(c, c)]))
        }
        _ => None,
    }
}

/// Whether Go's `unicode.IsLetter` or `unicode.IsDigit` holds for `c`.
pub(in crate::types) fn is_letter_or_digit(c: char) -> bool {
    static CLASS: OnceLock<ClassUnicode> = OnceLock::new();
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    let class = CLASS.get_or_init(|| {
        let mut class = ClassUnicode::empty();
        for category in ["L", "Nd"] {
            class.union(&named(category).expect("regex_syntax is built with its Unicode tables"));
        }
        class
    });
    let at = class.ranges().partition_point(|range| range.end() < c);
    class.ranges().get(at).is_some_and(|range| range.start() <= c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_class() {
        assert!(SCRIPTS.is_sorted());
        for name in CATEGORIES.iter().chain(SCRIPTS) {
            assert!(named(name).is_some_and(|class| !class.ranges().is_empty()), "{name}");
        }
        for name in ["", "greek", "Grek", "Letter", "Unknown", "ASCII", "Alphabetic", "lu", "Is"] {
            assert!(named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn letters_and_digits_are_those_of_go() {
        for c in ['a', '7', 'é', 'ش', 'Ж', '۷', '߂'] {
            assert!(is_letter_or_digit(c), "{c}");
        }
        for c in ['_', '-', '\u{301}', 'Ⅷ', '½', '\u{200c}'] {
            assert!(!is_letter_or_digit(c), "{c}");
        }
    }
}
