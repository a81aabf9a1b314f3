import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Amount } from './amount.tsx';
import type { Spend } from './api.ts';
import { axisSteps, decimalsFor, isZero, maxUsd, shareOf, shortUsd } from './money.ts';

const HEIGHT = 220;
const PAD = { top: 12, right: 0, bottom: 24, left: 64 };

interface Day {
  day: string;
  amount: string;
}

/** Every day of the month, in order; a day without spend is a zero that is known. */
const allDays = (period: string, spend: Spend): Day[] => {
  const amounts = new Map(spend.rows.map((row) => [row.day ?? '', row.amount_usd]));
  const [year = 0, month = 0] = period.split('-').map(Number);
  const count = new Date(Date.UTC(year, month, 0)).getUTCDate();
  return Array.from({ length: count }, (_, at) => {
    const day = `${period}-${String(at + 1).padStart(2, '0')}`;
    return { day, amount: amounts.get(day) ?? '0' };
  });
};

/** Width of the chart's box, and where a pointer is in it (pixels from its left, or null). */
const useBox = () => {
  const ref = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const pointer = useSignal<number | null>(null);
  useEffect(() => {
    const box = ref.current;
    if (!box) return;
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry?.contentRect.width ?? 0);
    });
    const listening = new AbortController();
    const { signal } = listening;
    const follow = (event: PointerEvent): void => {
      pointer.value = event.clientX - box.getBoundingClientRect().left;
    };
    box.addEventListener('pointermove', follow, { signal });
    box.addEventListener('pointerdown', follow, { signal });
    const leave = (): void => {
      pointer.value = null;
    };
    box.addEventListener('pointerleave', leave, { signal });
    observer.observe(box);
    return () => {
      observer.disconnect();
      listening.abort();
    };
  }, []);
  return { ref, width: width.value, pointer: pointer.value };
};

const Bars = ({ days, width, chosen }: { days: Day[]; width: number; chosen: number }) => {
  const steps = axisSteps(maxUsd(days.map((day) => day.amount)));
  const top = steps.at(-1) ?? '0';
  const decimals = decimalsFor(steps);
  const inner = { width: width - PAD.left - PAD.right, height: HEIGHT - PAD.top - PAD.bottom };
  const slot = inner.width / days.length;
  const gap = Math.min(6, slot * 0.3);
  const yOf = (amount: string) => PAD.top + inner.height * (1 - shareOf(amount, top));
  const labelEvery = slot < 18 ? 7 : slot < 30 ? 3 : 1;
  return (
    <svg width={width} height={HEIGHT} aria-hidden="true">
      {steps.map((step) => (
        <g key={step}>
          <line class="grid" x1={PAD.left} x2={width} y1={yOf(step)} y2={yOf(step)} />
          <text class="axis" x={PAD.left - 10} y={yOf(step)} dy="0.32em" text-anchor="end">
            {shortUsd(step, decimals)}
          </text>
        </g>
      ))}
      {days.map((day, at) => {
        const x = PAD.left + slot * at;
        const y = Math.min(yOf(day.amount), PAD.top + inner.height - (isZero(day.amount) ? 0 : 2));
        return (
          <g key={day.day} class={at === chosen ? 'bar chosen' : 'bar'}>
            <rect class="hit" x={x} y={PAD.top} width={slot} height={inner.height} />
            <rect
              class="fill"
              x={x + gap / 2}
              y={y}
              width={Math.max(1, slot - gap)}
              height={PAD.top + inner.height - y}
              rx={Math.min(3, slot / 6)}
            />
            {at % labelEvery === 0 ? (
              <text class="axis" x={x + slot / 2} y={HEIGHT - 6} text-anchor="middle">
                {at + 1}
              </text>
            ) : null}
          </g>
        );
      })}
    </svg>
  );
};

const DayTable = ({ days }: { days: Day[] }) => {
  const decimals = decimalsFor(days.map((day) => day.amount));
  return (
    <details>
      <summary>Show as a table</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Day (UTC)</th>
            <th scope="col" class="number">
              USD
            </th>
          </tr>
        </thead>
        <tbody>
          {days.map(({ day, amount }) => (
            <tr key={day}>
              <th scope="row">{day}</th>
              <td class="number">
                <Amount usd={amount} decimals={decimals} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
};

/** Spend by day: bars to look at, and the same as a table. */
export const DayChart = ({ period, spend }: { period: string; spend: Spend }) => {
  const { ref, width, pointer } = useBox();
  const days = allDays(period, spend);
  const chosen =
    pointer === null ? -1 : Math.floor(((pointer - PAD.left) / (width - PAD.left)) * days.length);
  const greatest = days.reduce<Day | undefined>(
    (max, day) => (max && maxUsd([max.amount, day.amount]) === max.amount ? max : day),
    undefined,
  );
  const shown = days[chosen] ?? greatest;
  return (
    <section class="card" aria-labelledby="by-day">
      <div class="card-head">
        <h2 id="by-day">By day</h2>
        {shown ? (
          <p class="readout">
            {shown === days[chosen] ? '' : 'most on '}
            {shown.day} <Amount usd={shown.amount} decimals={4} />
          </p>
        ) : null}
      </div>
      <div
        class="chart"
        ref={ref}
        role="img"
        aria-label={`Spend by day of ${period} in USD. Most on ${greatest?.day ?? 'no day'}: ${greatest?.amount ?? '0'} USD. The table below has every day.`}
      >
        {width > 0 ? <Bars days={days} width={width} chosen={chosen} /> : null}
      </div>
      <DayTable days={days.filter((day) => !isZero(day.amount))} />
    </section>
  );
};
