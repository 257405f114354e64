// The common style of all charts in this repository, for light and dark backgrounds.

const STYLE = `text{font:13px system-ui,sans-serif;fill:#1f2328}.h{font-size:15px;font-weight:600}.s{fill:#59636e}
.ours{fill:#0969da}.c{fill:#bc4c00}.other{fill:#8c959f}.w{stroke:#1f2328;stroke-width:1.5}.x{stroke:#d1d9e0}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.ours{fill:#4493f8}.c{fill:#f0883e}
.other{fill:#6e7681}.w{stroke:#f0f6fc}.x{stroke:#3d444d}}`;

/**
 * A chart as a file.
 *
 * @param style Rules besides those of all charts.
 */
export function svgOf({ title, width, height, parts, style = "" }) {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n` +
    `<title>${escapeXml(title)}</title>\n<style>${STYLE}${style}</style>\n${parts.join("\n")}\n</svg>\n`
  );
}

export function escapeXml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
