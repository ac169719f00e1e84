// Generated from the .avsc files by `node schemas/generate.ts`. Do not edit.

export type NoticeKind = 'UNKNOWN' | 'DOUBLE' | 'CONFLICT' | 'REGISTER_RESET' | 'REGISTER_ROLLOVER' | 'METER_SWAP' | 'REGISTER_GAP' | 'STUCK' | 'OUTLIER' | 'NEGATIVE';

export interface DataNotice {
  siteId: string;
  pointId: string;
  knownAtMs: number;
  kind: NoticeKind;
  /** event time it concerns */
  startMs: number;
  value: number | null;
  otherValue: number | null;
  /** how many, for counted kinds (doubles since the last notice) */
  count: number;
}

export interface PreviousWindows {
  widthMs: number;
  /** first absolute, then differences */
  startMs: number[];
  revision: number[];
  /** of the window's values, to tell a change */
  digest: string[];
  /** one a window, as emitted */
  flags: Uint8Array;
}

/** Raw readings of one point that bear on one UTC day, read back from the log, with the revisions emitted so far. */
export interface DayReloaded {
  siteId: string;
  pointId: string;
  knownAtMs: number;
  dayStartMs: number;
  /** first absolute, then differences; ascending, doubles resolved (the later delivery counts) */
  startMs: number[];
  /** energy kinds: integer milliwatt-hours */
  value: number[];
  quality: Uint8Array;
  /** index into devices, one a reading */
  deviceIndex: Uint8Array;
  devices: (string | null)[];
  previous: PreviousWindows[];
  /** start of the part of the day that this event tells about, where the day is too large for one event; null: the day's */
  fromMs: number | null;
  /** end of that part, exclusive; parts come in order */
  toMs: number | null;
  /** readings of the part that no event can hold: its windows stay as they are */
  setAsideCount: number;
  /** one a reading: 0 known before, 1 late, 2 late and in the place of another one; empty: not told */
  late: Uint8Array;
  /** of each reading whose late is 2, in order: the value in whose place it came */
  replaced: number[];
}

export type ForecastMethod = 'UNKNOWN' | 'WEEK_AGO' | 'DAY_AGO';

/** Forecast of one point's mean power, issued at knownAtMs (belief time). */
export interface ForecastIssued {
  siteId: string;
  pointId: string;
  knownAtMs: number;
  widthMs: number;
  /** name and version */
  model: string;
  method: ForecastMethod;
  /** first absolute, then differences */
  startMs: number[];
  q10W: number[];
  q50W: number[];
  q90W: number[];
  /** own residuals the quantiles rest on; 0: no spread known yet, all quantiles equal */
  residualCount: number[];
}

export interface PilotDeclared {
  pilotId: string;
  knownAtMs: number;
  name: string;
  /** ISO 3166-1 alpha-2 */
  country: string;
  timeZone: string;
  language: string;
  bidZone: string | null;
}

export type Unit = 'UNKNOWN' | 'WATT' | 'MILLIWATT_HOUR' | 'DEGREE_CELSIUS' | 'CODE';

export interface PointReadings {
  /** random pseudonym */
  pointId: string;
  /** canonical unit; others are converted at the edge */
  unit: Unit;
  /** pseudonym of the meter's serial number; a change of it is a meter swap */
  deviceId: string | null;
  /** the first absolute (UTC epoch ms), each further one as difference to the one before */
  startMs: number[];
  /** power, temperature or state code; empty for energy */
  value: number[];
  /** interval energy or register in milliwatt-hours; empty for other units */
  energyMilliWh: number[];
  /** one byte a reading, or one for all: 0 measured, 1 estimated, 2 substituted, 3 missing */
  quality: Uint8Array;
}

/** One delivery of one site: columns of readings, by point. Import is positive. */
export interface ReadingsDelivery {
  /** random pseudonym */
  siteId: string;
  /** UTC epoch milliseconds at which the source says the readings became known */
  knownAtMs: number;
  series: PointReadings[];
}

export interface Rejected {
  siteId: string | null;
  knownAtMs: number;
  /** a documented error code */
  code: string;
  reason: string;
  /** topic/partition/offset, or file and line */
  source: string;
  pointId: string | null;
  startMs: number | null;
  /** readings set aside by this event */
  readingCount: number;
  /** of single readings of a delivery: their starts, the first absolute, then differences; empty where all of a point or a delivery was set aside */
  startsMs: number[];
  /** the first bytes of what was rejected */
  bytes: Uint8Array;
  byteLength: number;
  sha256: string;
}

export interface PointWindows {
  pointId: string;
  /** false for temperatures and states: energyMilliWh is then 0 */
  hasEnergy: boolean;
  /** first absolute, then differences */
  startMs: number[];
  energyMilliWh: number[];
  /** time-weighted over the covered part; W, degree Celsius or code; 0 where coveredMs is 0 */
  mean: number[];
  min: number[];
  max: number[];
  last: number[];
  /** readings that start in the window */
  readingCount: number[];
  /** completeness = coveredMs / widthMs */
  coveredMs: number[];
  /** covered by measured readings; the rest is estimated or substituted */
  measuredMs: number[];
  /** worst of the window: 0 measured, 1 estimated, 2 substituted, 3 missing */
  quality: Uint8Array;
  /** bits: 1 stuck meter, 2 outlier, 4 negative consumption */
  flags: Uint8Array;
  revision: number[];
  /** 0 first; 1 late, 2 corrected: by a reading that bears on it; 3 reloaded: by what came for a day beside it */
  reason: Uint8Array;
}

/** Windows of one site at the width of the topic, by point, as columns. Import is positive. */
export interface ResampledWindows {
  siteId: string;
  /** latest of the causes and the tick */
  knownAtMs: number;
  widthMs: number;
  series: PointWindows[];
}

export interface RevisionRequested {
  siteId: string;
  pointId: string;
  knownAtMs: number;
  /** start of the UTC day */
  dayStartMs: number;
  /** late readings of the day since its last reload */
  lateCount: number;
}

export interface ModelUsed {
  model: string;
  /** of its weights */
  sha256: string;
}

export interface SchemaUsed {
  /** in the registry */
  id: number;
  fingerprint: string;
}

export interface RunStarted {
  runId: string;
  knownAtMs: number;
  partition: number;
  codeVersion: string;
  configurationHash: string;
  /** name@version */
  processors: string[];
  /** of what the run draws at random; null: it draws nothing */
  seed: number | null;
  /** trained models that the run began with; none: it computes with none */
  models: ModelUsed[];
  /** what every schema id meant to the run, ascending by id; none: an event from before this was noted */
  schemas: SchemaUsed[];
}

export type SiteKind = 'UNKNOWN' | 'HOME' | 'APARTMENT_BUILDING';

export type SiteOrigin = 'UNKNOWN' | 'MEASURED' | 'SIMULATED';

export interface EncryptedFields {
  /** per-household key */
  keyId: string;
  ciphertext: Uint8Array;
}

export type PointKind = 'UNKNOWN' | 'MEAN_POWER' | 'INSTANT_POWER' | 'INTERVAL_ENERGY' | 'REGISTER' | 'TEMPERATURE' | 'STATE';

export type Carrier = 'UNKNOWN' | 'ELECTRICITY' | 'DISTRICT_HEAT' | 'GAS' | 'NONE';

export interface PointDeclared {
  pointId: string;
  /** what it measures, e.g. grid-import, pv, heating; no personal data */
  name: string;
  kind: PointKind;
  carrier: Carrier;
  /** expected spacing; length of each interval for interval kinds */
  intervalMs: number;
  /** how long a sample holds when no next one comes (instantaneous kinds) */
  maxHoldMs: number;
  /** how late deliveries may be by agreement: windows with gaps wait for them */
  deliveryDelayMs: number;
  /** value at which the register starts again at zero */
  registerModulusMilliWh: number | null;
  /** a fall by at most this is jitter */
  registerJitterMilliWh: number;
  /** negative values are expected (generation, storage, a grid connection behind them); else they are flagged */
  mayExport: boolean;
  /** whether the forecaster serves this point */
  forecast: boolean;
}

/** A site with its points; the latest declaration counts. */
export interface SiteDeclared {
  siteId: string;
  knownAtMs: number;
  pilotId: string;
  /** IANA name */
  timeZone: string;
  kind: SiteKind;
  /** whether the data come from a real site or a simulator */
  origin: SiteOrigin;
  personalData: EncryptedFields | null;
  points: PointDeclared[];
}

/** Stream time of a partition: every fact known until then that was to be in time has been appended. */
export interface Tick {
  /** UTC epoch milliseconds */
  knownAtMs: number;
}

export type SignalProtocol = 'UNKNOWN' | 'OPENADR_2_0B' | 'OPENADR_3' | 'REST' | 'OPERATOR';

export type SignalStatus = 'UNKNOWN' | 'FAR' | 'NEAR' | 'ACTIVE' | 'COMPLETED' | 'CANCELLED';

export type SignalKind = 'UNKNOWN' | 'SIMPLE_LEVEL' | 'PRICE' | 'PRICE_RELATIVE' | 'PRICE_MULTIPLIER' | 'EXPORT_PRICE' | 'CARBON_INTENSITY' | 'LOAD_SETPOINT' | 'LOAD_DELTA' | 'LOAD_MULTIPLIER' | 'LOAD_LEVEL' | 'LOAD_CONTROL_CAPACITY' | 'LOAD_CONTROL_LEVEL_OFFSET' | 'LOAD_CONTROL_PERCENT_OFFSET' | 'LOAD_CONTROL_SETPOINT' | 'CHARGE_STATE_SETPOINT' | 'CHARGE_STATE_DELTA' | 'IMPORT_CAPACITY_LIMIT' | 'EXPORT_CAPACITY_LIMIT' | 'ALERT';

/** The one field that the signal's kind calls for is set; defaults of the event are already filled in. */
export interface SignalInterval {
  /** the sender's; reports refer to it */
  intervalId: string;
  /** absolute, UTC epoch ms */
  startMs: number;
  /** null: until the event ends */
  durationMs: number | null;
  /** SIMPLE_LEVEL 0 to 3 (0 normal), LOAD_LEVEL, LOAD_CONTROL_LEVEL_OFFSET */
  level: number | null;
  /** setpoint, delta or limit; import positive */
  powerW: number | null;
  /** energy to be stored */
  energyMilliWh: number | null;
  /** price, or difference for PRICE_RELATIVE */
  priceMicroCurrencyPerKWh: number | null;
  carbonGramPerKWh: number | null;
  /** multipliers, capacities and offsets as a fraction of 1, never in percent */
  fraction: number | null;
  /** text of an ALERT */
  message: string | null;
}

export interface SignalSeries {
  signalId: string;
  kind: SignalKind;
  /** the protocol's own words, e.g. LOAD_CONTROL/x-loadControlCapacity or IMPORT_CAPACITY_LIMIT */
  sourceKind: string;
  /** ISO 4217, for prices */
  currency: string | null;
  /** the intervals repeat until the event ends (OpenADR 3) */
  looping: boolean;
  intervals: SignalInterval[];
}

/** One state of one demand-response event as it concerns one site, independent of the protocol: OpenADR 2.0b (levels, prices, load control and dispatch) and OpenADR 3 (events with intervals). A change or a cancellation is a further event with the next modificationNumber. */
export interface DemandResponseSignal {
  siteId: string;
  /** when it reached us */
  knownAtMs: number;
  /** when the sender created or modified it */
  issuedAtMs: number;
  protocol: SignalProtocol;
  /** VTN or platform */
  senderId: string;
  /** OpenADR 3 program, 2.0b market context */
  programId: string | null;
  /** the sender's id; unique with senderId */
  eventId: string;
  /** 0 at first; the highest counts */
  modificationNumber: number;
  /** as sent; only CANCELLED decides anything, the rest follows from stream time */
  status: SignalStatus;
  /** the sender left the event out of its list instead of cancelling it (2.0b) */
  cancelledImplicitly: boolean;
  /** to be answered, not to be followed */
  testEvent: boolean;
  responseRequired: boolean;
  /** 1 is the most urgent; null: none given (2.0b sends 0 for that) */
  priority: number | null;
  /** start of the active period, before any random delay */
  startMs: number;
  /** null: until further notice */
  durationMs: number | null;
  /** the start may be delayed by a random span of at most this */
  randomStartMs: number;
  /** lead of the notice before startMs; 0: none given */
  notificationMs: number;
  /** time before startMs in which to reach the first interval's value */
  rampUpMs: number;
  /** time after the end in which to return */
  recoveryMs: number;
  /** points or resources that it is for; empty: the whole site */
  pointIds: string[];
  signals: SignalSeries[];
  /** what the sender wrote to the resident */
  personalData: EncryptedFields | null;
}

export type DeviceKind = 'UNKNOWN' | 'HEAT_PUMP' | 'DISTRICT_HEAT_SUBSTATION' | 'WATER_HEATER' | 'BATTERY' | 'ELECTRIC_VEHICLE' | 'VEHICLE_CHARGER' | 'SOLAR_INVERTER' | 'THERMOSTAT' | 'VENTILATION' | 'AIR_CONDITIONER' | 'RELAY' | 'SMART_PLUG' | 'APPLIANCE' | 'ENERGY_MANAGER';

export type DeviceAvailability = 'UNKNOWN' | 'ONLINE' | 'OFFLINE' | 'FAULT';

export type OperatingMode = 'UNKNOWN' | 'OFF' | 'STANDBY' | 'ON' | 'HEATING' | 'COOLING' | 'DEFROSTING' | 'HOT_WATER' | 'CHARGING' | 'DISCHARGING';

export type ControlSource = 'UNKNOWN' | 'RESIDENT' | 'OWN_SCHEDULE' | 'PLAN' | 'SAFETY';

/** What one device reports about itself. null means that the device does not say, never zero: nobody plans on a state that was not reported. */
export interface DeviceState {
  siteId: string;
  /** pseudonym */
  deviceId: string;
  /** the point that meters it */
  pointId: string | null;
  knownAtMs: number;
  /** when the state held, by the device's report */
  observedAtMs: number;
  kind: DeviceKind;
  availability: DeviceAvailability;
  mode: OperatingMode;
  /** who decided the mode; a resident's choice outranks a plan */
  controlledBy: ControlSource;
  /** the command that it follows */
  commandId: string | null;
  /** import positive: charging and consuming are positive, generating is negative */
  powerW: number | null;
  /** limit in force, as a magnitude */
  powerLimitW: number | null;
  storedEnergyMilliWh: number | null;
  storageCapacityMilliWh: number | null;
  /** 0 to 1, never percent */
  stateOfChargeFraction: number | null;
  /** of what it heats or cools */
  temperatureCelsius: number | null;
  setpointCelsius: number | null;
  vehicleConnected: boolean | null;
  /** the maker's codes, all that are active */
  alarmCodes: string[];
  /** 0 measured, 1 estimated, 2 substituted, 3 missing */
  quality: number;
}

export type FeedbackKind = 'UNKNOWN' | 'COMFORT' | 'EVENT' | 'PLAN' | 'ADVICE' | 'APP';

/** What one resident says about comfort, an event, a plan, advice or the app. */
export interface FeedbackGiven {
  siteId: string;
  feedbackId: string;
  /** pseudonym; null: given anonymously */
  accountId: string | null;
  /** when it reached us */
  knownAtMs: number;
  /** when it was given; earlier where the app was off line */
  givenAtMs: number;
  kind: FeedbackKind;
  /** the event, plan or advice */
  subjectId: string | null;
  /** the room whose comfort it is about */
  pointId: string | null;
  /** event time that it is about; null: givenAtMs */
  startMs: number | null;
  /** exclusive */
  endMs: number | null;
  /** ISO 7730: -3 cold to 3 hot, 0 neutral */
  thermalSensation: number | null;
  /** 1 worst to 5 best */
  satisfaction: number | null;
  appVersion: string | null;
  /** free text may name people, so it is encrypted */
  comment: EncryptedFields | null;
}

export type AutomationLevel = 'UNKNOWN' | 'NONE' | 'ADVICE' | 'CONFIRMATION' | 'AUTOMATIC';

/** Relative weights, not negative; their sum is of no account. */
export interface ObjectiveWeights {
  cost: number;
  comfort: number;
  emissions: number;
  selfConsumption: number;
}

export type DayKind = 'UNKNOWN' | 'MONDAY' | 'TUESDAY' | 'WEDNESDAY' | 'THURSDAY' | 'FRIDAY' | 'SATURDAY' | 'SUNDAY' | 'WORKDAY' | 'WEEKEND' | 'HOLIDAY';

export interface ComfortRange {
  /** temperature of a room or of hot water; null: every room */
  pointId: string | null;
  /** empty: all */
  dayKinds: DayKind[];
  /** 0 to 1439 */
  startMinuteOfDay: number;
  /** exclusive, 1 to 1440; at most startMinuteOfDay: past midnight */
  endMinuteOfDay: number;
  leastCelsius: number;
  greatestCelsius: number;
}

export interface VehicleReadyBy {
  /** pseudonym of the vehicle */
  deviceId: string;
  /** once, at this time; dayKinds and readyMinuteOfDay are then of no account */
  readyAtMs: number | null;
  /** empty: all */
  dayKinds: DayKind[];
  /** 0 to 1439 */
  readyMinuteOfDay: number;
  /** 0 to 1, wished at that time */
  stateOfChargeFraction: number;
  /** 0 to 1, to be kept at any time while connected */
  leastStateOfChargeFraction: number;
}

export type QuietPurpose = 'UNKNOWN' | 'NOTIFICATIONS' | 'NOISE' | 'CONTROL';

export interface QuietHours {
  /** no messages, no noisy device started, nothing switched */
  quietFor: QuietPurpose;
  /** null: all */
  deviceId: string | null;
  /** empty: all */
  dayKinds: DayKind[];
  startMinuteOfDay: number;
  /** exclusive; at most startMinuteOfDay: past midnight */
  endMinuteOfDay: number;
}

export type OptOutScope = 'UNKNOWN' | 'EVERYTHING' | 'PROGRAM' | 'EVENT' | 'DEVICE';

export type OptOutReason = 'UNKNOWN' | 'COMFORT' | 'AT_HOME' | 'AWAY' | 'COST' | 'DEVICE_FAULT' | 'PRIVACY' | 'OTHER';

export interface OptOut {
  /** UNKNOWN acts as EVERYTHING, so that older code never does what a resident refused */
  scope: OptOutScope;
  /** program, event or device */
  subjectId: string | null;
  startMs: number;
  /** exclusive; null: until withdrawn */
  endMs: number | null;
  reason: OptOutReason;
}

export interface DeviceWish {
  deviceId: string;
  automation: AutomationLevel;
  /** import positive */
  greatestPowerW: number | null;
  greatestStartsPerDay: number | null;
}

/** Everything that the residents of one site wish; the latest known declaration replaces the one before. Wishes are soft: a plan that cannot meet one says so. Minutes of day are wall-clock time in the site's time zone. */
export interface PreferencesDeclared {
  siteId: string;
  knownAtMs: number;
  /** pseudonym of who declared it; null: an operator or a default */
  accountId: string | null;
  validFromMs: number;
  /** BCP 47; null: the pilot's */
  language: string | null;
  /** for devices without a wish of their own; UNKNOWN acts as NONE */
  automation: AutomationLevel;
  objectives: ObjectiveWeights;
  /** the first that matches counts */
  comfortRanges: ComfortRange[];
  vehiclesReadyBy: VehicleReadyBy[];
  quietHours: QuietHours[];
  notificationsPaused: boolean;
  /** null while paused: for good */
  notificationsPausedUntilMs: number | null;
  optOuts: OptOut[];
  devices: DeviceWish[];
  /** names that residents gave to rooms and vehicles */
  personalData: EncryptedFields | null;
}

export type TariffKind = 'UNKNOWN' | 'WHOLESALE' | 'RETAIL' | 'NETWORK' | 'DISTRICT_HEAT' | 'TAX';

export type TariffDirection = 'UNKNOWN' | 'IMPORT' | 'EXPORT';

export interface TimeOfUseBlock {
  /** e.g. day, night, block-1 */
  name: string;
  /** 1 to 12; empty: all */
  months: number[];
  /** empty: all */
  dayKinds: DayKind[];
  /** local wall-clock time, 0 to 1439 */
  startMinuteOfDay: number;
  /** exclusive, 1 to 1440; at most startMinuteOfDay: the block goes past midnight */
  endMinuteOfDay: number;
  priceMicroCurrencyPerKWh: number;
  /** price of the agreed or greatest power in this block */
  powerPriceMicroCurrencyPerKWPerMonth: number | null;
}

export interface PriceSeries {
  /** market time unit, e.g. 900000 */
  widthMs: number;
  /** valid time: first absolute (UTC epoch ms), then differences */
  startMs: number[];
  /** may be negative; 1 EUR/MWh is 1000 */
  priceMicroCurrencyPerKWh: number[];
}

/** What a kilowatt-hour costs or earns in one area, as time-of-use blocks or as a series of prices. Of two declarations of a tariffId the later known one counts from its validFromMs on. */
export interface TariffDeclared {
  /** bid zone, grid area of a network operator, or district-heating network */
  areaId: string;
  /** stable over its declarations, e.g. fi-day-ahead, celje-network-household */
  tariffId: string;
  /** when it could be fetched */
  knownAtMs: number;
  /** when the provider published it */
  issuedAtMs: number;
  provider: string;
  /** tariffs of different kinds add up to what a site pays */
  kind: TariffKind;
  carrier: Carrier;
  /** IMPORT: a positive price is paid for energy taken; EXPORT: a positive price is earned for energy given */
  direction: TariffDirection;
  /** ISO 4217 */
  currency: string;
  valueAddedTaxIncluded: boolean;
  /** rate in force; null: not known */
  valueAddedTaxPermille: number | null;
  validFromMs: number;
  /** exclusive; null: until another declaration */
  validUntilMs: number | null;
  /** IANA name; the blocks' months, days and minutes are local to it */
  timeZone: string;
  /** standing charge, millionths of the currency */
  fixedMicroCurrencyPerMonth: number | null;
  /** the first block that matches counts; empty for a series of prices */
  blocks: TimeOfUseBlock[];
  prices: PriceSeries | null;
}

export type WeatherVariable = 'UNKNOWN' | 'AIR_TEMPERATURE_CELSIUS' | 'DEW_POINT_CELSIUS' | 'RELATIVE_HUMIDITY_PERCENT' | 'AIR_PRESSURE_HECTOPASCAL' | 'WIND_SPEED_METRE_PER_SECOND' | 'WIND_GUST_METRE_PER_SECOND' | 'WIND_DIRECTION_DEGREE' | 'CLOUD_COVER_PERCENT' | 'PRECIPITATION_MILLIMETRE' | 'SNOW_DEPTH_METRE' | 'GLOBAL_RADIATION_WATT_PER_SQUARE_METRE' | 'DIRECT_NORMAL_RADIATION_WATT_PER_SQUARE_METRE' | 'DIFFUSE_RADIATION_WATT_PER_SQUARE_METRE' | 'SUNSHINE_SECOND';

export type WeatherStatistic = 'UNKNOWN' | 'INSTANT' | 'MEAN' | 'SUM' | 'MINIMUM' | 'MAXIMUM';

export interface ForecastSeries {
  /** quantity and canonical unit; others are converted at the edge */
  variable: WeatherVariable;
  /** INSTANT holds at startMs; the others hold over the span from startMs to startMs + widthMs */
  statistic: WeatherStatistic;
  /** of an ensemble, e.g. 100, 500, 900; null: the provider's single forecast */
  quantilePermille: number | null;
  /** length of each span; 0 for INSTANT */
  widthMs: number;
  /** valid time: first absolute (UTC epoch ms), then differences; what the provider left out is left out */
  startMs: number[];
  value: number[];
}

/** One issue of a provider's forecast for one area. A later issue stands beside it and never overwrites it. */
export interface WeatherForecast {
  /** weather area that sites refer to; a grid cell or town, never a home */
  areaId: string;
  /** when the issue could be fetched: what a forecaster may see at T has knownAtMs <= T */
  knownAtMs: number;
  /** the provider's reference time of the model run; earlier than knownAtMs by the run's duration */
  issuedAtMs: number;
  /** e.g. fmi, arso, openweathermap */
  provider: string;
  /** the provider's name of its model, e.g. harmonie */
  model: string | null;
  /** WGS 84, of the area's reference point */
  latitudeDegree: number;
  longitudeDegree: number;
  elevationM: number | null;
  series: ForecastSeries[];
}

export interface ObservedSeries {
  /** quantity and canonical unit; others are converted at the edge */
  variable: WeatherVariable;
  /** INSTANT holds at startMs; the others hold over the span from startMs to startMs + widthMs */
  statistic: WeatherStatistic;
  /** length of each span; 0 for INSTANT */
  widthMs: number;
  /** valid time: first absolute (UTC epoch ms), then differences */
  startMs: number[];
  /** 0 where quality is 3 (missing) */
  value: number[];
  /** one byte a value, or one for all: 0 measured, 1 estimated, 2 substituted, 3 missing */
  quality: Uint8Array;
}

/** One delivery of observed weather of one area. A correction is a later delivery for the same valid times. */
export interface WeatherObservation {
  /** weather area that sites refer to; a station's surroundings, never a home */
  areaId: string;
  /** when the provider published it; later than the valid times */
  knownAtMs: number;
  /** e.g. fmi, arso */
  provider: string;
  /** the provider's public id of the station; null for gridded analyses */
  stationId: string | null;
  /** WGS 84 */
  latitudeDegree: number;
  longitudeDegree: number;
  elevationM: number | null;
  series: ObservedSeries[];
}

/** Events that are written, by schema name. */
export interface EventTypes {
  DataNotice: DataNotice;
  DayReloaded: DayReloaded;
  ForecastIssued: ForecastIssued;
  PilotDeclared: PilotDeclared;
  ReadingsDelivery: ReadingsDelivery;
  Rejected: Rejected;
  ResampledWindows: ResampledWindows;
  RevisionRequested: RevisionRequested;
  RunStarted: RunStarted;
  SiteDeclared: SiteDeclared;
  Tick: Tick;
}

/** Events that have a schema but no writer yet, by schema name. */
export interface DraftEventTypes {
  DemandResponseSignal: DemandResponseSignal;
  DeviceState: DeviceState;
  FeedbackGiven: FeedbackGiven;
  PreferencesDeclared: PreferencesDeclared;
  TariffDeclared: TariffDeclared;
  WeatherForecast: WeatherForecast;
  WeatherObservation: WeatherObservation;
}
