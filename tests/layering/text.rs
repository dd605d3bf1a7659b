//! Source text as tokens: comments are gone, strings are told from code. Enough of Rust's grammar, and of C++'s, for the guards.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// `::`
    Colons,
    /// One other character.
    Sign(char),
    /// What stands between the quotes of a string, as it was typed.
    Text(&'a str),
}

/// A token and the line it begins on, counted from 1.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    pub kind: Kind<'a>,
    pub line: usize,
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of a comment at the start of the text; block comments nest, as Rust's do.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(text.len())
}

/// A string at the start of the text, with any prefix (`b`, `c`, `r#`): where its contents are, and its length.
fn string(text: &str) -> Option<(std::ops::Range<usize>, usize)> {
    let letters = text.find(|c: char| !"bcr".contains(c))?;
    let is_raw = text[..letters].ends_with('r');
    let hashes = text[letters..].find(|c| c != '#')?;
    let open = letters + hashes;
    if letters > 2 || hashes > 0 && !is_raw || !text[open..].starts_with('"') {
        return None;
    }
    let start = open + 1;
    let end = if is_raw {
        text[start..].find(&format!("\"{}", "#".repeat(hashes))).map_or(text.len(), |end| start + end)
    } else {
        let mut escaped = false;
        let closes = |c: char| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        };
        text[start..].find(closes).map_or(text.len(), |end| start + end)
    };
    Some((start..end, (end + 1 + hashes).min(text.len())))
}

/// Length of a character or of a lifetime at the start of the text: neither says anything to the guards.
fn quoted(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let mut characters = inside.chars();
    let first = characters.next()?;
    if first == '\\' {
        let escape = 1 + characters.next()?.len_utf8();
        return Some(1 + escape + inside[escape..].find('\'')? + 1);
    }
    if characters.next() == Some('\'') {
        return Some(first.len_utf8() + 2);
    }
    Some(1 + inside.find(|c| !is_part(c)).unwrap_or(inside.len()))
}

/// The tokens of a text.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut at, mut line) = (vec![], 0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = if let Some(length) = comment(rest) {
            (None, length)
        } else if let Some((contents, length)) = string(rest) {
            (Some(Kind::Text(&rest[contents])), length)
        } else if let Some(length) = quoted(rest) {
            (None, length)
        } else if is_part(first) {
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            (Some(Kind::Word(&rest[..length])), length)
        } else if rest.starts_with("::") {
            (Some(Kind::Colons), 2)
        } else {
            ((!first.is_whitespace()).then_some(Kind::Sign(first)), first.len_utf8())
        };
        found.extend(kind.map(|kind| Token { kind, line }));
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

#[test]
fn comments_and_strings_are_no_code() {
    let words = |text| {
        let words = |token: &Token<'_>| match token.kind {
            Kind::Word(word) => Some(word.to_string()),
            _ => None,
        };
        tokens(text).iter().filter_map(words).collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        ("a // b\nc", "a c"),
        ("a /* b /* c */ d */ e", "a e"),
        ("a \"b // c \\\" d\" e", "a e"),
        ("a r#\"b \" c\"# d", "a d"),
        ("a b\"c\" d", "a d"),
        ("a('\"', '\\'', 'b') c", "a c"),
        ("a<'b> c", "a c"),
        ("break r", "break r"),
        ("crate::a // \"\n::b", "crate a b"),
    ] {
        assert_eq!(words(text), expected, "{text}");
    }
    assert_eq!(tokens("a\n\"b\nc\"\nd").last().map(|token| token.line), Some(4));
}
