import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Metrics of one process. Names carry the prefix `reckoner_`, base units and `_total`; no tenant or user in labels. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /** `read` is asked when the metric is scraped; null leaves the value out, since unknown is not zero. */
  gauge(name: string, help: string, read?: () => number | null): Gauge;
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  /** Prometheus text. */
  render(): Promise<string>;
}

export const createMetrics = (service: string): Metrics => {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    counter: (name, help, labels = []) =>
      new Counter({ name: `reckoner_${name}`, help, labelNames: [...labels], registers }),
    gauge: (name, help, read) =>
      new Gauge({
        name: `reckoner_${name}`,
        help,
        registers,
        collect() {
          const value = read?.();
          if (value === null) this.reset();
          else if (value !== undefined) this.set(value);
        },
      }),
    histogram: (name, help, buckets) =>
      new Histogram({ name: `reckoner_${name}`, help, buckets: [...buckets], registers }),
    render: () => registry.metrics(),
  };
};
