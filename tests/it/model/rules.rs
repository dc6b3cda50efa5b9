//! Rules of the reference model that can be broken on purpose, which the comparison must detect.

/// A rule that the model may be made to get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    RoundHalfToEven,
    SumDemand,
    OwnHoldIsFree,
    HoldsEnd,
    BookingCloses,
    FeesOfSellableItemsOnly,
    TicketTypesWhereTheirPriceMoved,
    EveryPoolBinds,
    ChildrenBeforeBounds,
    FailedPaymentKeepsTheHold,
    NewestFirst,
    HoldsAreRenewedForSoLong,
    HoldsOffMeansReleased,
    TaxIsRoundedByLine,
    TaxOfTheServiceFirst,
    FeesOfNothingAreLeftOut,
    StatedTaxAgrees,
    NoChargeWithoutAGateway,
    PrepaymentIsRequired,
    UnsupportedPrepaymentIsNotCharged,
    MostOfPoolsThatCross,
    PartiesShareASpot,
    PartiesAreListed,
    AllTagsOfASlot,
    AllLinesOfASlot,
    SalesOutliveTheClock,
    HoldsEndWhenTheClockIsSetBack,
    ReplaysAreTheFirstAnswer,
    ListsShowThePresent,
    CancelledSpotsAreForSale,
    CustomersTimeOut,
    NoShowsKeepTheirSpots,
    AmendedItemsArePaidBack,
    FeesGoWithTheirItem,
    OrderFeesGoWithTheLastItem,
    TermsAreThoseOfTheSale,
    BlocksReplaceOneAnother,
    WithdrawnSpotsMayStayOffSale,
    RequestsAreDecidedOnce,
    EtagsAreChecked,
    NoOrderIsStranded,
}

impl Rule {
    /// Whether only a clock that is wrong for a while can tell.
    pub(super) fn is_about_clocks(self) -> bool {
        matches!(
            self,
            Self::SalesOutliveTheClock | Self::HoldsEndWhenTheClockIsSetBack
        )
    }

    /// Whether only operators can tell.
    pub(super) fn is_about_operators(self) -> bool {
        matches!(
            self,
            Self::ReplaysAreTheFirstAnswer
                | Self::ListsShowThePresent
                | Self::CancelledSpotsAreForSale
                | Self::CustomersTimeOut
                | Self::NoShowsKeepTheirSpots
                | Self::AmendedItemsArePaidBack
                | Self::FeesGoWithTheirItem
                | Self::OrderFeesGoWithTheLastItem
                | Self::TermsAreThoseOfTheSale
                | Self::BlocksReplaceOneAnother
                | Self::WithdrawnSpotsMayStayOffSale
                | Self::RequestsAreDecidedOnce
                | Self::EtagsAreChecked
                | Self::NoOrderIsStranded
        )
    }

    pub(super) const ALL: [Self; 41] = [
        Self::RoundHalfToEven,
        Self::SumDemand,
        Self::OwnHoldIsFree,
        Self::HoldsEnd,
        Self::BookingCloses,
        Self::FeesOfSellableItemsOnly,
        Self::TicketTypesWhereTheirPriceMoved,
        Self::EveryPoolBinds,
        Self::ChildrenBeforeBounds,
        Self::FailedPaymentKeepsTheHold,
        Self::NewestFirst,
        Self::HoldsAreRenewedForSoLong,
        Self::HoldsOffMeansReleased,
        Self::TaxIsRoundedByLine,
        Self::TaxOfTheServiceFirst,
        Self::FeesOfNothingAreLeftOut,
        Self::StatedTaxAgrees,
        Self::NoChargeWithoutAGateway,
        Self::PrepaymentIsRequired,
        Self::UnsupportedPrepaymentIsNotCharged,
        Self::MostOfPoolsThatCross,
        Self::PartiesShareASpot,
        Self::PartiesAreListed,
        Self::AllTagsOfASlot,
        Self::AllLinesOfASlot,
        Self::SalesOutliveTheClock,
        Self::HoldsEndWhenTheClockIsSetBack,
        Self::ReplaysAreTheFirstAnswer,
        Self::ListsShowThePresent,
        Self::CancelledSpotsAreForSale,
        Self::CustomersTimeOut,
        Self::NoShowsKeepTheirSpots,
        Self::AmendedItemsArePaidBack,
        Self::FeesGoWithTheirItem,
        Self::OrderFeesGoWithTheLastItem,
        Self::TermsAreThoseOfTheSale,
        Self::BlocksReplaceOneAnother,
        Self::WithdrawnSpotsMayStayOffSale,
        Self::RequestsAreDecidedOnce,
        Self::EtagsAreChecked,
        Self::NoOrderIsStranded,
    ];
}
