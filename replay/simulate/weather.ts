/** Outdoor temperature and sunshine of a place, minute by minute. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Random } from './random.ts';

export interface Place {
  latitudeDegrees: number;
  longitudeDegrees: number;
  timeZone: string;
  /** Mean over the year, and how far the coldest and warmest days (20 January, 21 July) lie from it. */
  yearMeanCelsius: number;
  seasonCelsius: number;
}

export interface Weather {
  startMs: number;
  /** Mean of each minute. */
  outdoorCelsius: Float64Array;
  /** Global horizontal irradiance, mean of each minute. */
  irradianceWPerM2: Float64Array;
}

const COLDEST_DAY = 20;
/** The warmest time comes about three hours after the highest sun. */
const WARMEST_SOLAR_HOUR = 15;
const DAY_SWING_CELSIUS = 4.5;

export function simulateWeather(place: Place, startMs: number, minutes: number, random: Random): Weather {
  const hours = Math.ceil(minutes / 60) + 2;
  const cloudiness = autoregressive(hours, 0.93, 1.6, random).map((x) => 1 / (1 + Math.exp(-x)));
  const deviationCelsius = autoregressive(hours, 0.98, 2.5, random);
  const outdoorCelsius = new Float64Array(minutes);
  const irradianceWPerM2 = new Float64Array(minutes);
  for (let i = 0; i < minutes; i++) {
    const atMs = startMs + (i + 0.5) * MINUTE_MS;
    const cloud = interpolated(cloudiness, i / 60);
    const day = dayOfYear(atMs);
    const season = -place.seasonCelsius * Math.cos((2 * Math.PI * (day - COLDEST_DAY)) / 365.25);
    const swing = DAY_SWING_CELSIUS * (1.2 - 0.8 * cloud) * Math.cos((2 * Math.PI * (solarHour(place, atMs) - WARMEST_SOLAR_HOUR)) / 24);
    outdoorCelsius[i] = place.yearMeanCelsius + season + swing + interpolated(deviationCelsius, i / 60);
    irradianceWPerM2[i] = clearSkyWPerM2(sunElevationSine(place, atMs)) * cloudFactor(cloud);
  }
  return { startMs, outdoorCelsius, irradianceWPerM2 };
}

/** Sine of the sun's elevation above the horizon: declination after Cooper (1969), mean solar time (16 minutes off at most). */
export function sunElevationSine(place: Place, atMs: number): number {
  const declination = (23.45 * Math.PI * Math.sin((2 * Math.PI * (284 + dayOfYear(atMs))) / 365)) / 180;
  const latitude = (place.latitudeDegrees * Math.PI) / 180;
  const hourAngle = ((solarHour(place, atMs) - 12) * Math.PI) / 12;
  return Math.sin(latitude) * Math.sin(declination) + Math.cos(latitude) * Math.cos(declination) * Math.cos(hourAngle);
}

/** Haurwitz (1945): irradiance on the horizontal under a clear sky. */
export function clearSkyWPerM2(elevationSine: number): number {
  return elevationSine <= 0 ? 0 : 1098 * elevationSine * Math.exp(-0.059 / elevationSine);
}

/** Kasten and Czeplak (1980): what clouds let through, by the covered fraction of the sky. */
function cloudFactor(coveredFraction: number): number {
  return 1 - 0.75 * coveredFraction ** 3.4;
}

function dayOfYear(atMs: number): number {
  return 1 + Math.floor((atMs - Date.UTC(new Date(atMs).getUTCFullYear(), 0, 1)) / DAY_MS);
}

function solarHour(place: Place, atMs: number): number {
  return ((atMs % DAY_MS) / HOUR_MS + place.longitudeDegrees / 15 + 24) % 24;
}

/** A first-order autoregressive series with the given standard deviation. */
function autoregressive(count: number, persistence: number, deviation: number, random: Random): number[] {
  const series = [deviation * random.normal()];
  const innovation = deviation * Math.sqrt(1 - persistence ** 2);
  for (let i = 1; i < count; i++) series.push(persistence * series[i - 1] + innovation * random.normal());
  return series;
}

function interpolated(series: readonly number[], at: number): number {
  const below = Math.floor(at);
  return series[below] + (at - below) * (series[below + 1] - series[below]);
}
