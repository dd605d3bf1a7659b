//! One self-contained HTML page about a run: pictures inline, nothing fetched from anywhere.

use std::fmt::Write;

use super::svg::{Svg, escape};

/// A part of the page.
#[derive(Debug, Clone)]
pub enum Section {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Lines of code.
    Code(String),
    /// A picture with what it shows.
    Picture(Svg, String),
    /// Names and values.
    Table(Vec<(String, String)>),
    /// Sentences.
    List(Vec<String>),
    /// What a reader opens when wanted: a line that is there always, and what is under it.
    Folded(String, Vec<Section>),
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2937;--quiet:#6b7280;--page:#ffffff;--rule:#e5e7eb;--code:#f3f4f6}\
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--quiet:#9ca3af;--page:#111827;--rule:#374151;--code:#1f2937}}\
body{font:16px/1.5 system-ui,'DejaVu Sans',sans-serif;color:var(--ink);background:var(--page);max-width:1240px;margin:2rem auto;padding:0 1.2rem}\
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--rule);padding-bottom:.3rem}\
figure{margin:1rem 0}figure svg{max-width:100%;height:auto;border-radius:6px}figcaption{color:var(--quiet);font-size:.9rem}\
table{border-collapse:collapse}td{padding:.2rem 1.2rem .2rem 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}\
td:first-child{color:var(--quiet);white-space:nowrap}summary{cursor:pointer}details{margin:.6rem 0}\
details ul{columns:24rem;font-size:.85rem;overflow-wrap:anywhere}pre{background:var(--code);padding:.8rem;border-radius:6px;overflow-x:auto}\
@media print{body{max-width:none;margin:0}h2,figure{break-inside:avoid}}";

/// The page as text.
pub fn page(title: &str, parts: &[Section]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
        escape(title)
    );
    parts.iter().for_each(|part| add(&mut html, part));
    html + "</body>\n</html>\n"
}

fn add(html: &mut String, part: &Section) {
    // Writing to a String cannot fail.
    let _ = match part {
        Section::Heading(text) => writeln!(html, "<h2>{}</h2>", escape(text)),
        Section::Text(text) => writeln!(html, "<p>{}</p>", escape(text)),
        Section::Code(text) => {
            let lines: Vec<String> = text.lines().map(escape).collect();
            writeln!(html, "<pre>{}</pre>", lines.join("\n"))
        }
        Section::Picture(svg, caption) => {
            writeln!(
                html,
                "<figure>\n{}<figcaption>{}</figcaption>\n</figure>",
                svg.finish(),
                escape(caption)
            )
        }
        Section::Table(rows) => {
            let cells = |(name, value): &(String, String)| {
                format!("<tr><td>{}</td><td>{}</td></tr>\n", escape(name), escape(value))
            };
            writeln!(html, "<table>\n{}</table>", rows.iter().map(cells).collect::<String>())
        }
        Section::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
            writeln!(html, "<ul>\n{items}</ul>")
        }
        Section::Folded(line, parts) => {
            let _ = writeln!(html, "<details>\n<summary>{}</summary>", escape(line));
            parts.iter().for_each(|part| add(html, part));
            writeln!(html, "</details>")
        }
    };
}
