//! Units and labels in plain letters, as people read them: pyFAI writes them in LaTeX, and so do files.

/// A whole number as an exponent: `-1` is `⁻¹`.
pub fn raised(text: &str) -> String {
    let small = |c: char| match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4'..='9' => char::from_u32(0x2070 + c as u32 - '0' as u32).unwrap_or(c),
        c => c,
    };
    text.chars().map(small).collect()
}

/// A label as it stands in pyFAI's units (`Scattering vector $q$ ($\AA^{-1}$)`), in plain letters: `… q (Å⁻¹)`.
pub fn label(text: &str) -> String {
    let mut plain = text
        .replace("\\AA", "Å")
        .replace("\\theta", "θ")
        .replace("\\chi", "χ")
        .replace("^{o}", "°")
        .replace("^o", "°");
    plain = plain.replace("A^-1", "Å⁻¹").replace('$', "");
    while let Some(start) = plain.find("^{") {
        let Some(end) = plain[start..].find('}') else { break };
        let exponent = raised(&plain[start + 2..start + end]);
        plain.replace_range(start..=start + end, &exponent);
    }
    while let Some(start) = plain.find("^-") {
        let end =
            plain[start + 2..].find(|c: char| !c.is_ascii_digit()).map_or(plain.len(), |e| start + 2 + e);
        let exponent = raised(&plain[start + 1..end]);
        plain.replace_range(start..end, &exponent);
    }
    plain.replace('\\', "")
}

/// A unit in plain letters, as files have it in LaTeX: `\AA^{-1}` is Å⁻¹. Nothing of numbers that have none.
pub fn unit(symbol: &str) -> String {
    match symbol {
        "?" => String::new(),
        symbol => label(symbol),
    }
}

/// A value of the radial axis with its unit.
pub fn with_unit(value: impl std::fmt::Display, symbol: &str) -> String {
    format!("{value} {}", unit(symbol)).trim_end().to_owned()
}

/// From the first of some ascending places on an axis to the last: `q 0.1 … 6.2 Å⁻¹`; `None` without any.
pub fn ends(name: &str, places: &[f64], symbol: &str) -> Option<String> {
    let (first, last) = (places.first()?, places.last()?);
    Some(with_unit(format!("{name} {first:.6} … {last:.6}"), symbol))
}
