/**
 * Writes Prometheus's text format, version 0.0.4.
 */

import { countOf, type HistogramFigures } from "./histogram.js";

/** The content type of the format. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Labels by name, in output order. */
export type Labels = Readonly<Record<string, string>>;

/** A document under construction. */
export class Exposition {
  readonly #lines: string[] = [];

  /** The document so far, with the final line break that the format requires. */
  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  /** Begins a metric family; add all its samples before the next one. */
  family(name: string, type: "counter" | "gauge" | "histogram", help: string): Family {
    this.#lines.push(
      `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
      `# TYPE ${name} ${type}`,
    );
    return new Family(name, this.#lines);
  }
}

/** The samples of one family. */
class Family {
  readonly #name: string;
  readonly #lines: string[];

  constructor(name: string, lines: string[]) {
    this.#name = name;
    this.#lines = lines;
  }

  /** Writes one sample; nothing if the value is undefined, which means that the system does not provide it. */
  sample(labels: Labels, value: number | undefined): this {
    if (value !== undefined) this.#lines.push(`${this.#name}${braced(labels)} ${numberText(value)}`);
    return this;
  }

  /** Writes the samples of a histogram. */
  histogram(labels: Labels, figures: HistogramFigures): this {
    const { bounds, counts, sum } = figures;
    let below = 0;
    for (const [bucket, bound] of bounds.entries()) {
      below += counts[bucket] ?? 0;
      this.#lines.push(`${this.#name}_bucket${braced({ ...labels, le: numberText(bound) })} ${below}`);
    }
    const count = countOf(figures);
    this.#lines.push(
      `${this.#name}_bucket${braced({ ...labels, le: "+Inf" })} ${count}`,
      `${this.#name}_sum${braced(labels)} ${numberText(sum)}`,
      `${this.#name}_count${braced(labels)} ${count}`,
    );
    return this;
  }
}

function braced(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Escapes a label's value. */
function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}
