#include "connection/security/tls_records.hpp"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "connection/security/tls_error.hpp"

namespace gossamer::security {
namespace {

constexpr std::size_t kReadLeast = 64 * 1024;  // room offered to the source
constexpr std::size_t kBulkBytes = 16 * 1024;  // from here on sealed into a lent block
constexpr unsigned kEmptyMax = 32;             // records in a row that bring no data
// New keys cost as much as some KiB of data: of the other side's, so many more than it sends KiB.
constexpr std::size_t kRenewalWorth = 1024, kRenewalDebtMax = 32 * kRenewalWorth;
enum HandshakeType : unsigned { kNewSessionTicket = 4, kKeyUpdate = 24 };

unsigned at(ByteView bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }

static_assert(kTlsRecordOverhead == kRecordHeaderBytes + 1 + kRecordTagBytes);
constexpr std::size_t kRecordMost = kTlsRecordPlainMax + kTlsRecordOverhead;  // that is not altered

ByteView secret_of(const TrafficSecrets& secrets, bool dialler) {
    return ByteView(dialler ? secrets.dialler : secrets.listener).first(secrets.size);
}

}  // namespace

void TrafficSecrets::erase() {
    OPENSSL_cleanse(dialler.data(), dialler.size());
    OPENSSL_cleanse(listener.data(), listener.size());
}

TlsRecords::TlsRecords(const TlsRecordsConfig& config, const TrafficSecrets& secrets,
                       FlatBuffer& in, FlatBuffer& out)
    : config_(config),
      in_(in),
      out_(out),
      opening_(RecordKey::Use::open, secrets.suite, secret_of(secrets, !config.dialled)),
      sealing_(RecordKey::Use::seal, secrets.suite, secret_of(secrets, config.dialled)) {}

// ---- in ----

std::size_t TlsRecords::read(std::span<std::byte> to, const CipherSource* source) {
    std::size_t total = 0;
    while (total < to.size()) {
        if (opened_ > 0) {
            const auto count = std::min(opened_, to.size() - total);
            std::memcpy(to.data() + total, in_.view().data(), count);
            in_.consume(count);
            opened_ -= count;
            if (opened_ == 0) in_.consume(trailer_);
            total += count;
            continue;
        }
        if (error_ || peer_closed_ || !next_record(source)) break;
        total += open_record(to.subspan(total));
    }
    return total;
}

// Whether a whole record is at the front of in_; sees to it that it is, as far as there are bytes.
bool TlsRecords::next_record(const CipherSource* source) {
    while (true) {
        const auto size = record_size(in_.view());
        if (error_) return false;
        if (size && in_.size() >= *size) return true;
        if (source == nullptr) return false;
        const auto missing = size.value_or(kRecordHeaderBytes) - in_.size();
        const auto count = (*source)(in_.space(std::max(missing, kReadLeast)));
        if (count == 0) return false;
        in_.commit(count);
    }
}

// Nothing before the header is there, or when it is wrong.
std::optional<std::size_t> TlsRecords::record_size(ByteView in) {
    if (in.size() < kRecordHeaderBytes) return std::nullopt;
    const std::size_t body = (at(in, 3) << 8) + at(in, 4);
    if (at(in, 0) != static_cast<unsigned>(ContentType::data))
        give_up(SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted");
    else if (body > kRecordBodyMax)
        give_up(SSL_AD_RECORD_OVERFLOW, "a record longer than any may be");
    else if (body <= kRecordTagBytes)
        give_up(SSL_AD_BAD_RECORD_MAC, "a record too short to be whole");
    return kRecordHeaderBytes + body;
}

// The record at the front of in_: straight to where its data belongs if that holds it, else where
// it is. Gives how many bytes of data are in `to`.
std::size_t TlsRecords::open_record(std::span<std::byte> to) {
    const auto front = in_.bytes();
    const auto size = *record_size(front);
    const bool fits = size - kRecordHeaderBytes - kRecordTagBytes - 1 <= to.size();
    auto* place = fits ? to.data() : front.data() + kRecordHeaderBytes;
    const auto opened = opening_.open(front.first(size), place);
    if (!opened) return give_up(SSL_AD_BAD_RECORD_MAC, "a record arrived altered"), 0;
    if (size > kRecordMost)  // padding counts (§5.4)
        return give_up(SSL_AD_RECORD_OVERFLOW, "a record longer than any may be"), 0;
    const bool data = opened->type == static_cast<std::uint8_t>(ContentType::data);
    if (data && opened->size > 0) {
        empty_count_ = 0;
        renewal_debt_ -= std::min(renewal_debt_, opened->size);
    } else if (++empty_count_ > kEmptyMax)
        return give_up(SSL_AD_UNEXPECTED_MESSAGE, "too many records without data"), 0;
    if (data && !fits && opened->size > 0) {
        in_.consume(kRecordHeaderBytes);
        opened_ = opened->size;
        trailer_ = size - kRecordHeaderBytes - opened_;
        return 0;
    }
    if (!data) take_control(opened->type, {place, opened->size});
    in_.consume(size);
    return data ? opened->size : 0;
}

void TlsRecords::take_control(std::uint8_t type, ByteView content) {
    if (content.empty())  // of any kind (§5.1, §5.4)
        return give_up(SSL_AD_UNEXPECTED_MESSAGE, "a record of nothing");
    if (type == static_cast<std::uint8_t>(ContentType::alert)) return take_alert(content);
    if (type == static_cast<std::uint8_t>(ContentType::handshake)) return take_handshake(content);
    give_up(SSL_AD_UNEXPECTED_MESSAGE, "a record of a kind that has no place here");
}

void TlsRecords::take_alert(ByteView content) {
    if (content.size() != 2) return give_up(SSL_AD_DECODE_ERROR, "an alert that is none");
    const auto alert = static_cast<int>(at(content, 1));
    if (alert == SSL_AD_CLOSE_NOTIFY)
        peer_closed_ = true;
    else if (alert != SSL_AD_USER_CANCELLED)  // which a close_notify follows
        error_ = tls_alert(alert);
}

// Tickets are not for us, new keys are (RFC 8446 §4.6). A message lies whole in a record.
void TlsRecords::take_handshake(ByteView content) {
    while (!content.empty()) {
        std::size_t size = 4;
        if (content.size() >= size)
            size += (at(content, 1) << 16) + (at(content, 2) << 8) + at(content, 3);
        if (size > content.size())
            return give_up(SSL_AD_DECODE_ERROR, "a handshake message larger than its record");
        const auto type = at(content, 0);
        if (type == kKeyUpdate) {
            if (size != 5) return give_up(SSL_AD_DECODE_ERROR, "a key update that is none");
            if (at(content, 4) > 1)
                return give_up(SSL_AD_ILLEGAL_PARAMETER, "a key update that asks for what is not");
            if (size != content.size())  // it would have been sealed with the old key (§5.1)
                return give_up(SSL_AD_UNEXPECTED_MESSAGE, "a message behind a key update");
            renewal_debt_ += kRenewalWorth;
            if (renewal_debt_ > kRenewalDebtMax)
                return give_up(SSL_AD_UNEXPECTED_MESSAGE, "too many new keys for little data");
            opening_.update();
            renewal_asked_ = renewal_asked_ || at(content, 4) == 1;
        } else if (type != kNewSessionTicket || !config_.dialled) {
            return give_up(SSL_AD_UNEXPECTED_MESSAGE, "a handshake message out of place");
        }
        content = content.subspan(size);
    }
}

// ---- out ----

void TlsRecords::write(ByteView header, ByteView body) {
    // The answer to a key update goes out before the next data (RFC 8446 §4.6.3), as ours does.
    if (renewal_asked_ || sealed_since_renewal_ >= config_.rekey_bytes) renew_sending_key();
    if (header.size() + body.size() >= kBulkBytes && out_.size() == 0) out_.borrow_block();
    out_.space(tls_wire_bytes(header.size(), body.size()));
    std::array<std::byte, kTlsCoalesceMax> joined;
    if (!header.empty() && !body.empty() && header.size() + body.size() <= joined.size()) {
        std::ranges::copy(body, std::ranges::copy(header, joined.begin()).out);
        header = ByteView(joined).first(header.size() + body.size());
        body = {};
    }
    for (auto part : {header, body})
        for (; !part.empty(); part = part.subspan(std::min(part.size(), kTlsRecordPlainMax)))
            seal(ContentType::data, part.first(std::min(part.size(), kTlsRecordPlainMax)));
}

void TlsRecords::seal(ContentType type, ByteView content) {
    const auto size = content.size() + kTlsRecordOverhead;
    sealing_.seal(type, content, out_.space(size).data());
    out_.commit(size);
    sealed_since_renewal_ += size;  // small records use a key up, too
}

void TlsRecords::renew_sending_key() {
    constexpr std::uint8_t kMessage[] = {kKeyUpdate, 0, 0, 1, 0};  // no answer asked for
    seal(ContentType::handshake, std::as_bytes(std::span(kMessage)));
    sealing_.update();
    renewal_asked_ = false;
    sealed_since_renewal_ = 0;
}

void TlsRecords::close() {
    if (closed_) return;
    closed_ = true;
    if (!error_) seal_alert(SSL_AD_CLOSE_NOTIFY);
}

void TlsRecords::seal_alert(int alert) {
    const auto level = alert == SSL_AD_CLOSE_NOTIFY ? SSL3_AL_WARNING : SSL3_AL_FATAL;
    const std::byte content[] = {static_cast<std::byte>(level), static_cast<std::byte>(alert)};
    seal(ContentType::alert, content);
}

// Says so to the other side while the connection can still carry it.
void TlsRecords::give_up(int alert, const char* what) {
    if (error_) return;
    error_ = Error{ErrorCode::kTlsIntegrity, what, {}};
    if (!closed_) seal_alert(alert);
}

}  // namespace gossamer::security
