import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Metrics of one process. Names carry the prefix `reckoner_`, base units and `_total`; no tenant or user in labels. */
export interface Metrics {
  /** The same name again gives the same counter: rooms of one process may count the same thing. */
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /** `read` is asked when the metric is scraped; null leaves the value out, since unknown is not zero. */
  gauge(name: string, help: string, read?: () => number | null): Gauge;
  /** One value for each set of labels, asked for when the metric is scraped; what is not answered is absent. */
  labelledGauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Iterable<{ labels: Record<string, string>; value: number }>,
  ): Gauge;
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
    counter: (name, help, labels = []) => {
      const known = registry.getSingleMetric(`reckoner_${name}`);
      if (known instanceof Counter) return known;
      return new Counter({ name: `reckoner_${name}`, help, labelNames: [...labels], registers });
    },
    gauge: (name, help, read) =>
      new Gauge({
        name: `reckoner_${name}`,
        help,
        registers,
        collect() {
          const value = read?.();
          // Not `reset`: that would set it to zero.
          if (value === null) this.remove();
          else if (value !== undefined) this.set(value);
        },
      }),
    labelledGauge: (name, help, labels, read) =>
      new Gauge({
        name: `reckoner_${name}`,
        help,
        labelNames: [...labels],
        registers,
        collect() {
          this.reset();
          for (const { labels: values, value } of read()) this.set(values, value);
        },
      }),
    histogram: (name, help, buckets) =>
      new Histogram({ name: `reckoner_${name}`, help, buckets: [...buckets], registers }),
    render: () => registry.metrics(),
  };
};
